/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;

/**
 * Bytes on their way to a client: a pooled buffer of which {@code [sent, filled)} is still to go.
 *
 * <p>The buffer's position is always {@code filled} and its limit its capacity, except inside
 * {@link #toSend}, so that whoever appends just puts.
 *
 * <p><b>Ownership:</b> holds one count of the {@link ByteBuf}; {@link OutputQueue} releases it when
 * all is sent.
 */
final class Segment {

  /** Bytes of a segment that collects replies: a full batch of 32 replies of 4 KiB and more. */
  static final int CHUNK_BYTES = 256 << 10;

  final ByteBuf owner;

  /** View of the whole owner. */
  final ByteBuffer bytes;

  /** Bytes charged to the connection, given back when sent. */
  final long charge;

  /** Whether replies may be appended; false for the data of one read. */
  final boolean open;

  private int sent;

  Segment(ByteBuf owner, ByteBuffer bytes, long charge, boolean open) {
    this.owner = owner;
    this.bytes = bytes;
    this.charge = charge;
    this.open = open;
  }

  /** Makes an empty one for replies. */
  static Segment collecting(ByteBuf owner) {
    return new Segment(owner, owner.nioBuffer(0, owner.capacity()), 0, true);
  }

  /** Sets the buffer's range to what is still to be sent. */
  ByteBuffer toSend() {
    int filled = bytes.position();
    return bytes.limit(filled).position(sent);
  }

  /** Takes over how much of {@link #toSend} went out, and gives it. */
  int wasSent() {
    int moved = bytes.position() - sent;
    int filled = bytes.limit();
    sent = bytes.position();
    bytes.limit(bytes.capacity()).position(filled);
    return moved;
  }

  boolean allSent() {
    return sent == bytes.position();
  }

  void reset() {
    sent = 0;
    bytes.clear();
  }
}
