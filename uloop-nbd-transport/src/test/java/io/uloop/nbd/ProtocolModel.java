/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a server must say to a run of bytes, worked out the slow and plain way from the text.
 *
 * <p>For an export "disk" that is writable, zeroes and trims, with requests that end at once. Knows
 * of each option the type of its last reply, and of each request the error; the content of reads is
 * checked where no write came before.
 */
final class ProtocolModel {

  private static final int ERR = 1 << 31;

  /** The replies that end an option, in order, as option, slash, type in hexadecimal. */
  final List<String> options = new ArrayList<>();

  /** The error of each request, by its place in the stream. */
  final List<Reply> replies = new ArrayList<>();

  /** A reply that must come; its chunks may mix with others'. */
  record Reply(long cookie, int error, long offset, long length, boolean read) {}

  boolean hangsUp;
  boolean transmission;
  int mode;
  int contexts;
  boolean written;

  private final ByteBuffer in;
  private final long size;
  private boolean noZeroes;

  ProtocolModel(byte[] input, long size) {
    this.in = ByteBuffer.wrap(input);
    this.size = size;
    handshake();
    while (transmission && !hangsUp && request()) {
      continue;
    }
  }

  boolean zeroesAfterExportName() {
    return !noZeroes;
  }

  boolean exportNameUsed;

  private void handshake() {
    if (in.remaining() < 4) {
      return;
    }
    int flags = in.getInt();
    if (flags < 0 || flags > 3) {
      hangsUp = true;
      return;
    }
    noZeroes = (flags & 2) != 0;
    int count = 0;
    while (!hangsUp && !transmission && in.remaining() >= 16) {
      long magic = in.getLong(in.position());
      int option = in.getInt(in.position() + 8);
      long length = in.getInt(in.position() + 12) & 0xffff_ffffL;
      if (magic != 0x49484156454F5054L || length > 16 << 20 || count == 128) {
        hangsUp = true;
        return;
      }
      if (length > 65_536) {
        count++;
        in.position(in.position() + 16);
        if (option == 1) {
          hangsUp = true;
          return;
        }
        ended(option, ERR | 9);
        if (in.remaining() < length) {
          in.position(in.limit());
          return;
        }
        in.position(in.position() + (int) length);
        continue;
      }
      if (in.remaining() < 16 + length) {
        return;
      }
      count++;
      in.position(in.position() + 16);
      byte[] data = new byte[(int) length];
      in.get(data);
      option(option, data);
    }
  }

  private void ended(int option, int type) {
    options.add(option + "/" + Integer.toHexString(type));
  }

  private void option(int option, byte[] data) {
    boolean empty = data.length == 0;
    switch (option) {
      case 1 -> {
        if (mode == 11 || !known(new String(data, StandardCharsets.ISO_8859_1))) {
          hangsUp = true;
        } else {
          exportNameUsed = true;
          transmission = true;
        }
      }
      case 2 -> {
        ended(2, 1);
        hangsUp = true;
      }
      case 3 -> ended(3, empty ? 1 : ERR | 3);
      case 5 -> ended(5, empty ? ERR | 2 : ERR | 3);
      case 8 -> {
        ended(8, !empty ? ERR | 3 : mode == 11 ? ERR | 10 : 1);
        mode = empty && mode == 0 ? 8 : mode;
      }
      case 11 -> {
        ended(11, empty ? 1 : ERR | 3);
        mode = empty ? 11 : mode;
      }
      case 6, 7 -> info(option, ByteBuffer.wrap(data));
      case 9, 10 -> meta(option, ByteBuffer.wrap(data));
      default -> ended(option, ERR | 1);
    }
  }

  private static boolean known(String name) {
    return name.isEmpty() || name.equals("disk");
  }

  /** Takes a string with its length before it; null if that is not one. */
  private static String string(ByteBuffer data) {
    if (data.remaining() < 4) {
      return null;
    }
    int length = data.getInt();
    if (length < 0 || length > data.remaining() || length > 4096) {
      return null;
    }
    byte[] bytes = new byte[length];
    data.get(bytes);
    String text = new String(bytes, StandardCharsets.UTF_8);
    boolean valid = java.util.Arrays.equals(text.getBytes(StandardCharsets.UTF_8), bytes);
    return valid && text.indexOf(0) < 0 ? text : null;
  }

  private void info(int option, ByteBuffer data) {
    String name = string(data);
    if (name == null || data.remaining() < 2) {
      ended(option, ERR | 3);
      return;
    }
    int count = data.getShort() & 0xffff;
    if (data.remaining() != 2 * count) {
      ended(option, ERR | 3);
    } else if (!known(name)) {
      ended(option, ERR | 6);
    } else {
      ended(option, 1);
      transmission = option == 7;
    }
  }

  private void meta(int option, ByteBuffer data) {
    if (option == 10) {
      contexts = 0;
    }
    String name = string(data);
    long count = name == null || data.remaining() < 4 ? -1 : data.getInt() & 0xffff_ffffL;
    int chosen = 0;
    for (long i = 0; i < count; i++) {
      String query = string(data);
      if (query == null || query.indexOf(':') < 0) {
        count = -1;
        break;
      }
      chosen |= query.equals("base:allocation") ? 1 : query.equals("x-uloop:cached") ? 2 : 0;
    }
    if (count < 0 || data.hasRemaining() || (option == 10 && mode == 0)) {
      ended(option, ERR | 3);
    } else if (!known(name)) {
      ended(option, ERR | 6);
    } else {
      ended(option, 1);
      contexts = option == 10 ? chosen : contexts;
    }
  }

  private boolean request() {
    boolean wide = mode == 11;
    if (in.remaining() < (wide ? 32 : 28)) {
      return false;
    }
    if (in.getInt() != (wide ? 0x21e41c71 : 0x25609513)) {
      hangsUp = true;
      return false;
    }
    int flags = in.getShort() & 0xffff;
    int type = in.getShort() & 0xffff;
    long cookie = in.getLong();
    long offset = in.getLong();
    long length = wide ? in.getLong() : in.getInt() & 0xffff_ffffL;
    if (type == 2) {
      hangsUp = true;
      return false;
    }
    byte[] payload = {};
    boolean flagged = wide && (flags & 32) != 0;
    if (type == 1 || flagged) {
      if (length < 0 || length > 32 << 20) {
        hangsUp = true;
        return false;
      }
      if (in.remaining() < length) {
        return false;
      }
      payload = new byte[(int) length];
      in.get(payload);
    }
    int error = error(flags, type, offset, length, flagged, payload);
    written |= error == 0 && (type == 1 || type == 6) && length > 0;
    replies.add(new Reply(cookie, error, offset, length, type == 0));
    return true;
  }

  private static final Map<Integer, Integer> ALLOWED =
      new TreeMap<>(Map.of(0, 1, 1, 1, 3, 1, 4, 1, 5, 1, 6, 1 | 2 | 16, 7, 1 | 8));

  private int error(
      int flags, int type, long offset, long length, boolean flagged, byte[] payload) {
    Integer allowed = ALLOWED.get(type);
    if (allowed == null || (type == 7 && contexts == 0)) {
      return 22;
    }
    int all = allowed;
    all |= type == 0 && mode != 0 ? 4 : 0;
    all |= mode == 11 && (type == 1 || type == 7) ? 32 : 0;
    if ((flags & ~all) != 0) {
      return 22;
    }
    if (type == 3) {
      return offset == 0 && length == 0 ? 0 : 22;
    }
    if (type == 7 && flagged) {
      return filtered(offset, payload);
    }
    boolean inside = offset >= 0 && length >= 0 && offset <= size && length <= size - offset;
    if (!inside) {
      return type == 1 || type == 6 ? 28 : 22;
    }
    if (type == 7) {
      return length == 0 ? -1 : 0; // Not specified.
    }
    boolean fast = type == 6 && (flags & 16) != 0;
    return fast && length > 0 && offset % MemoryDevice.BLOCK != 0 ? 95 : 0;
  }

  private int filtered(long offset, byte[] payload) {
    ByteBuffer data = ByteBuffer.wrap(payload);
    if (payload.length < 12 || payload.length % 4 != 0) {
      return 22;
    }
    long length = data.getLong();
    int seen = 0;
    while (data.hasRemaining()) {
      int id = data.getInt();
      if (id < 1 || id > 2 || (contexts & id) == 0 || (seen & id) != 0) {
        return 22;
      }
      seen |= id;
    }
    boolean inside = offset >= 0 && length >= 0 && offset <= size && length <= size - offset;
    return inside && length > 0 ? 0 : 22;
  }
}
