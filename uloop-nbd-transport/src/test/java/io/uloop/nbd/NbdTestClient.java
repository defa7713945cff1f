/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * A client that says exactly what a test wants, and takes replies apart by itself: it shares no
 * code with the server.
 */
final class NbdTestClient implements Closeable {

  static final int SIMPLE = 0;
  static final int STRUCTURED = 8;
  static final int EXTENDED = 11;

  /** A reply to an option. */
  record OptionReply(int option, int type, byte[] data) {
    ByteBuffer buffer() {
      return ByteBuffer.wrap(data);
    }

    String text() {
      return new String(data, StandardCharsets.UTF_8);
    }
  }

  /** A simple reply, or a chunk of another; type -1 stands for a simple one. */
  record Chunk(int type, int flags, int error, long cookie, long offset, byte[] data) {
    boolean done() {
      return type < 0 || (flags & 1) != 0;
    }
  }

  private final ByteChannel channel;
  int mode = SIMPLE;
  long size;
  int flags;

  NbdTestClient(ByteChannel channel) {
    this.channel = channel;
  }

  static NbdTestClient connect(NbdServer server) throws IOException {
    return connect(server.places().get(0).substring("unix:".length()));
  }

  static NbdTestClient connect(String path) throws IOException {
    return new NbdTestClient(SocketChannel.open(UnixDomainSocketAddress.of(path)));
  }

  ByteChannel channel() {
    return channel;
  }

  // ---- bytes ----

  /** Makes bytes of numbers: Byte, Short, Integer, Long, String and byte[] as they are. */
  static byte[] bytes(Object... parts) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (DataOutputStream out = new DataOutputStream(bytes)) {
      for (Object part : parts) {
        if (part instanceof Byte b) {
          out.writeByte(b);
        } else if (part instanceof Short s) {
          out.writeShort(s);
        } else if (part instanceof Integer i) {
          out.writeInt(i);
        } else if (part instanceof Long l) {
          out.writeLong(l);
        } else if (part instanceof String s) {
          out.write(s.getBytes(StandardCharsets.UTF_8));
        } else {
          out.write((byte[]) part);
        }
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return bytes.toByteArray();
  }

  void send(byte[] bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }

  ByteBuffer receive(int count) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(count);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer) < 0) {
        throw new EOFException("after " + buffer.position() + " of " + count + " bytes");
      }
    }
    return buffer.flip();
  }

  /** Tells whether the server has closed the connection, and said nothing more. */
  boolean isClosed() throws IOException {
    try {
      return channel.read(ByteBuffer.allocate(1)) < 0;
    } catch (java.net.SocketException e) {
      return true; // Connection reset: closed with input unread.
    }
  }

  // ---- handshake ----

  NbdTestClient hello() throws IOException {
    return hello(3);
  }

  NbdTestClient hello(int clientFlags) throws IOException {
    ByteBuffer greeting = receive(18);
    if (greeting.getLong() != 0x4e42444d41474943L
        || greeting.getLong() != 0x49484156454F5054L
        || greeting.getShort() != 3) {
      throw new IOException("no greeting");
    }
    send(bytes(clientFlags));
    return this;
  }

  static byte[] optionBytes(int option, byte[] data) {
    return bytes(0x49484156454F5054L, option, data.length, data);
  }

  void sendOption(int option, byte[] data) throws IOException {
    send(optionBytes(option, data));
  }

  OptionReply receiveOption() throws IOException {
    ByteBuffer header = receive(20);
    if (header.getLong() != 0x3e889045565a9L) {
      throw new IOException("no reply to an option");
    }
    int option = header.getInt();
    int type = header.getInt();
    byte[] data = new byte[header.getInt()];
    receive(data.length).get(data);
    return new OptionReply(option, type, data);
  }

  /** Sends an option and collects its replies up to the last. */
  List<OptionReply> option(int option, byte[] data) throws IOException {
    sendOption(option, data);
    List<OptionReply> replies = new ArrayList<>();
    OptionReply reply;
    do {
      reply = receiveOption();
      replies.add(reply);
    } while (reply.type() > 1);
    return replies;
  }

  /** Gives the type of the last reply to an option. */
  int outcome(int option, byte[] data) throws IOException {
    List<OptionReply> replies = option(option, data);
    return replies.get(replies.size() - 1).type();
  }

  static byte[] infoData(String name, int... infos) {
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    byte[] text = name.getBytes(StandardCharsets.UTF_8);
    data.writeBytes(bytes(text.length, text, (short) infos.length));
    for (int info : infos) {
      data.writeBytes(bytes((short) info));
    }
    return data.toByteArray();
  }

  static byte[] metaData(String name, String... queries) {
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    byte[] text = name.getBytes(StandardCharsets.UTF_8);
    data.writeBytes(bytes(text.length, text, queries.length));
    for (String query : queries) {
      data.writeBytes(bytes(query.getBytes(StandardCharsets.UTF_8).length, query));
    }
    return data.toByteArray();
  }

  /** Negotiates replies of a mode and the contexts, and enters transmission. */
  NbdTestClient go(int wanted, String name, String... contexts) throws IOException {
    if (wanted != SIMPLE && outcome(wanted, new byte[0]) != 1) {
      throw new IOException("mode refused");
    }
    mode = wanted;
    if (contexts.length > 0 && outcome(10, metaData(name, contexts)) != 1) {
      throw new IOException("contexts refused");
    }
    for (OptionReply reply : option(7, infoData(name))) {
      if (reply.type() == 3 && reply.buffer().getShort() == 0) {
        size = reply.buffer().getLong(2);
        flags = reply.buffer().getShort(10) & 0xffff;
      } else if (reply.type() < 0) {
        throw new IOException("refused: " + Integer.toHexString(reply.type()));
      }
    }
    return this;
  }

  // ---- transmission ----

  byte[] requestBytes(int flags, int type, long cookie, long offset, long length, byte[] payload) {
    return mode == EXTENDED
        ? bytes(0x21e41c71, (short) flags, (short) type, cookie, offset, length, payload)
        : bytes(0x25609513, (short) flags, (short) type, cookie, offset, (int) length, payload);
  }

  void request(int flags, int type, long cookie, long offset, long length) throws IOException {
    send(requestBytes(flags, type, cookie, offset, length, new byte[0]));
  }

  void write(int flags, long cookie, long offset, byte[] data) throws IOException {
    int all = flags | (mode == EXTENDED ? 32 : 0);
    send(requestBytes(all, 1, cookie, offset, data.length, data));
  }

  /** Receives one simple reply or chunk; simple replies with data need its length. */
  Chunk receiveChunk(int dataLength) throws IOException {
    int magic = receive(4).getInt();
    switch (magic) {
      case 0x67446698 -> {
        ByteBuffer rest = receive(12);
        int error = rest.getInt();
        long cookie = rest.getLong();
        byte[] data = new byte[error == 0 ? dataLength : 0];
        receive(data.length).get(data);
        return new Chunk(-1, 1, error, cookie, 0, data);
      }
      case 0x668e33ef, 0x6e8a278c -> {
        ByteBuffer rest = receive(magic == 0x668e33ef ? 16 : 28);
        int flags = rest.getShort();
        int type = rest.getShort() & 0xffff;
        long cookie = rest.getLong();
        if (magic == 0x6e8a278c) {
          rest.getLong();
        }
        int length = magic == 0x668e33ef ? rest.getInt() : (int) rest.getLong();
        ByteBuffer payload = receive(length);
        return parse(flags, type, cookie, payload);
      }
      default -> throw new IOException("no reply: " + Integer.toHexString(magic));
    }
  }

  private static Chunk parse(int flags, int type, long cookie, ByteBuffer payload) {
    long offset = 0;
    int error = 0;
    byte[] text = {};
    if (type == 1 || type == 2) {
      offset = payload.getLong();
    } else if (type >= 0x8000) {
      error = payload.getInt();
      text = new byte[payload.getShort()];
      payload.get(text);
      offset = type == 0x8002 ? payload.getLong() : 0;
    }
    byte[] data = new byte[payload.remaining()];
    payload.get(data);
    return new Chunk(type, flags, error, cookie, offset, type >= 0x8000 ? text : data);
  }

  /** Receives all chunks of the reply to the one request in flight. */
  List<Chunk> receiveReply(int dataLength) throws IOException {
    List<Chunk> chunks = new ArrayList<>();
    do {
      chunks.add(receiveChunk(dataLength));
    } while (!chunks.get(chunks.size() - 1).done());
    return chunks;
  }

  /** Sends a request without payload and gives the error of its reply, 0 if none. */
  int error(int flags, int type, long offset, long length) throws IOException {
    request(flags, type, 77, offset, length);
    return error(receiveReply((int) length));
  }

  static int error(List<Chunk> reply) {
    return reply.stream().mapToInt(Chunk::error).filter(e -> e != 0).findFirst().orElse(0);
  }

  /** Reads, and puts the reply's chunks together. */
  byte[] read(long offset, int length) throws IOException {
    return read(0, offset, length);
  }

  byte[] read(int flags, long offset, int length) throws IOException {
    request(flags, 0, 99, offset, length);
    return assemble(receiveReply(length), offset, length);
  }

  static byte[] assemble(List<Chunk> reply, long offset, int length) throws IOException {
    byte[] all = new byte[length];
    for (Chunk chunk : reply) {
      if (chunk.error() != 0) {
        throw new IOException("error " + chunk.error());
      }
      if (chunk.type() == -1) {
        return chunk.data();
      } else if (chunk.type() == 1) {
        System.arraycopy(
            chunk.data(), 0, all, (int) (chunk.offset() - offset), chunk.data().length);
      }
    }
    return all;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
