/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.nio.ByteBuffer;

/**
 * The three shapes of a reply, as negotiated in the handshake: pure functions from values to bytes.
 *
 * <p>A READ with data begins with {@link #putData}; everything else that is no error is one {@link
 * #putDone}. {@code requestOffset} matters to {@link #EXTENDED} only.
 *
 * <p><b>Source:</b> proto.md, "Simple reply message", "Structured reply chunk message", "Structured
 * reply types"; branch extension-ext-header, "Extended reply chunk message".
 */
enum ReplyStyle {
  /** One header, then the data. */
  SIMPLE(16, 16),
  /** Chunks with a 20-byte header. */
  STRUCTURED(20, 28),
  /** Chunks with a 32-byte header. */
  EXTENDED(32, 40);

  /** The longest header that any function here puts, text of an error not counted. */
  static final int MAX_HEADER_BYTES = 32 + 14;

  /** Bytes of {@link #putDone}. */
  final int headerBytes;

  /** Bytes of {@link #putData}. */
  final int dataHeaderBytes;

  ReplyStyle(int headerBytes, int dataHeaderBytes) {
    this.headerBytes = headerBytes;
    this.dataHeaderBytes = dataHeaderBytes;
  }

  /** Tells whether a reply may come in several chunks and say where it failed. */
  boolean chunked() {
    return this != SIMPLE;
  }

  /**
   * Puts the header of a chunk.
   *
   * @param length of the payload that follows
   */
  void putChunk(ByteBuffer out, int flags, int type, long cookie, long requestOffset, long length) {
    if (this == EXTENDED) {
      out.putInt(Nbd.EXTENDED_REPLY_MAGIC).putShort((short) flags).putShort((short) type);
      out.putLong(cookie).putLong(requestOffset).putLong(length);
    } else {
      out.putInt(Nbd.STRUCTURED_REPLY_MAGIC).putShort((short) flags).putShort((short) type);
      out.putLong(cookie).putInt((int) length);
    }
  }

  /**
   * Puts what precedes data of a READ.
   *
   * @param offset of the data in the export
   * @param length of the data
   * @param done whether the reply ends with it; ignored by {@link #SIMPLE}, where it must be all
   */
  void putData(
      ByteBuffer out, long cookie, long requestOffset, long offset, int length, boolean done) {
    if (this == SIMPLE) {
      out.putInt(Nbd.SIMPLE_REPLY_MAGIC).putInt(0).putLong(cookie);
      return;
    }
    putChunk(
        out,
        done ? Nbd.REPLY_FLAG_DONE : 0,
        Nbd.REPLY_TYPE_OFFSET_DATA,
        cookie,
        requestOffset,
        8L + length);
    out.putLong(offset);
  }

  /** Puts a run of zeroes of a READ; not for {@link #SIMPLE}. */
  void putHole(
      ByteBuffer out, long cookie, long requestOffset, long offset, int length, boolean done) {
    int flags = done ? Nbd.REPLY_FLAG_DONE : 0;
    putChunk(out, flags, Nbd.REPLY_TYPE_OFFSET_HOLE, cookie, requestOffset, 12);
    out.putLong(offset).putInt(length);
  }

  /** Puts the end of a request that went well and has no, or no further, data. */
  void putDone(ByteBuffer out, long cookie, long requestOffset) {
    if (this == SIMPLE) {
      out.putInt(Nbd.SIMPLE_REPLY_MAGIC).putInt(0).putLong(cookie);
    } else {
      putChunk(out, Nbd.REPLY_FLAG_DONE, Nbd.REPLY_TYPE_NONE, cookie, requestOffset, 0);
    }
  }

  /**
   * Puts the failure of a whole request.
   *
   * @param text for a human, not too long; left out by {@link #SIMPLE}
   */
  void putError(ByteBuffer out, long cookie, long requestOffset, int errno, byte[] text) {
    if (this == SIMPLE) {
      out.putInt(Nbd.SIMPLE_REPLY_MAGIC).putInt(errno).putLong(cookie);
      return;
    }
    int flags = Nbd.REPLY_FLAG_DONE;
    putChunk(out, flags, Nbd.REPLY_TYPE_ERROR, cookie, requestOffset, 6L + text.length);
    out.putInt(errno).putShort((short) text.length).put(text);
  }

  /** Puts the failure of a part of a READ; not for {@link #SIMPLE}; the reply goes on. */
  void putErrorAt(
      ByteBuffer out, long cookie, long requestOffset, int errno, byte[] text, long offset) {
    putChunk(out, 0, Nbd.REPLY_TYPE_ERROR_OFFSET, cookie, requestOffset, 14L + text.length);
    out.putInt(errno).putShort((short) text.length).put(text).putLong(offset);
  }
}
