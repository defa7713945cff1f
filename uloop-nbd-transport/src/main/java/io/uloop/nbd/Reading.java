/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import io.uloop.BlockDevice;
import java.nio.ByteBuffer;

/**
 * One read that the device completes later; its buffer has room for the header before the data, so
 * that the reply goes out as one piece.
 *
 * <p><b>Ownership:</b> the buffer is the device's from {@link #start} to {@link #done}, then goes
 * to the output or is released.
 */
final class Reading extends Piece {

  private final int headerBytes;
  private final ByteBuf owner;

  Reading(ReadPlan plan, EventLoop loop, int headerBytes, long offset, int length) {
    super(plan, loop, offset, length);
    this.headerBytes = headerBytes;
    this.owner = loop.allocate(headerBytes + length);
  }

  void start(BlockDevice device) {
    try {
      device.readAsync(offset, owner.nioBuffer(headerBytes, length), this);
    } catch (RuntimeException e) {
      done(e); // It should have told the completion.
    }
  }

  /** Gives header and data as one buffer to send; the caller puts the header, at position 0. */
  Segment toSegment() {
    ByteBuffer bytes = owner.nioBuffer(0, headerBytes + length);
    return new Segment(owner, bytes, length, false);
  }

  void release() {
    owner.release();
  }
}
