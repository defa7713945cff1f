/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The data of options: pure functions from bytes to values; null means "not what the text says".
 *
 * <p><b>Source:</b> proto.md, "Option types".
 */
final class OptionData {

  /**
   * The data of NBD_OPT_INFO and NBD_OPT_GO.
   *
   * @param name of the export
   * @param infos the NBD_INFO_ numbers that are asked for, as a set of bits; unknown ones left out
   */
  record Info(String name, int infos) {
    boolean wants(int info) {
      return (infos & 1 << info) != 0;
    }
  }

  /**
   * The data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT.
   *
   * @param name of the export
   * @param queries as the client wrote them
   */
  record Meta(String name, List<String> queries) {}

  private OptionData() {}

  /** Decodes the data of INFO and GO, which must fill the buffer. */
  static @Nullable Info info(ByteBuffer data) {
    String name = string(data);
    if (name == null || data.remaining() < 2) {
      return null;
    }
    int count = data.getShort() & 0xffff;
    if (data.remaining() != 2 * count) {
      return null;
    }
    int infos = 0;
    for (int i = 0; i < count; i++) {
      int info = data.getShort() & 0xffff;
      infos |= info <= Nbd.INFO_BLOCK_SIZE ? 1 << info : 0;
    }
    return new Info(name, infos);
  }

  /** Decodes the data of the two options about metadata, which must fill the buffer. */
  static @Nullable Meta meta(ByteBuffer data) {
    String name = string(data);
    if (name == null || data.remaining() < 4) {
      return null;
    }
    long count = data.getInt() & 0xffff_ffffL;
    if (count > data.remaining() / 4) {
      return null;
    }
    List<String> queries = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      String query = string(data);
      if (query == null || query.indexOf(':') < 0) {
        return null;
      }
      queries.add(query);
    }
    return data.hasRemaining() ? null : new Meta(name, queries);
  }

  /** Decodes a string with its length before it. */
  private static @Nullable String string(ByteBuffer data) {
    if (data.remaining() < 4) {
      return null;
    }
    int length = data.getInt();
    return length < 0 || length > data.remaining() ? null : string(data, length);
  }

  /** Decodes a string of known length; null if it breaks the rules for strings. */
  static @Nullable String string(ByteBuffer data, int length) {
    if (length > Nbd.MAX_STRING_BYTES) {
      return null;
    }
    ByteBuffer bytes = data.slice(data.position(), length);
    data.position(data.position() + length);
    try {
      // A new decoder reports what is malformed instead of replacing it.
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      return text.indexOf('\0') < 0 ? text : null;
    } catch (CharacterCodingException e) {
      return null;
    }
  }
}
