/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.nio.ByteBuffer;

/**
 * The fields of a request, decoded in place: one object per connection, so that a request costs no
 * allocation.
 *
 * <p><b>Source:</b> proto.md, "Request message".
 */
final class RequestHeader {

  static final int COMPACT_BYTES = 28;
  static final int EXTENDED_BYTES = 32;

  /** 16 bits. */
  int flags;

  /** 16 bits; one of {@code CMD_}, or anything. */
  int type;

  /** Opaque; goes back with every reply. */
  long cookie;

  /** In bytes, unsigned on the wire: negative means 2^63 or more, beyond every export. */
  long offset;

  /** In bytes; negative means 2^63 or more (only with extended headers). */
  long length;

  /**
   * Takes a header off a buffer that holds a whole one.
   *
   * @return whether the magic number was right; if not, the stream cannot be understood any more
   */
  boolean decode(ByteBuffer in, boolean extended) {
    int magic = in.getInt();
    flags = in.getShort() & 0xffff;
    type = in.getShort() & 0xffff;
    cookie = in.getLong();
    offset = in.getLong();
    length = extended ? in.getLong() : in.getInt() & 0xffff_ffffL;
    return magic == (extended ? Nbd.EXTENDED_REQUEST_MAGIC : Nbd.REQUEST_MAGIC);
  }

  boolean has(int flag) {
    return (flags & flag) != 0;
  }

  /** Tells whether the range lies within a device of that size; overflow-safe. */
  boolean within(long size) {
    return offset >= 0 && length >= 0 && offset <= size && length <= size - offset;
  }

  /** Tells whether both ends are multiples of a power of two. */
  boolean alignedTo(int block) {
    return ((offset | length) & (block - 1)) == 0;
  }
}
