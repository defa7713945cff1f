/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import io.uloop.BlockDevice;
import io.uloop.ReadCompletion;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * One read that the device completes later; its buffer has room for the header before the data, so
 * that the reply goes out as one piece.
 *
 * <p><b>Ownership:</b> the buffer is the device's from {@link #start} to {@link #done}, then goes
 * to the output or is released.
 */
final class Reading implements ReadCompletion, Runnable {

  final long offset;
  final int length;
  private final ReadPlan plan;
  private final EventLoop loop;
  private final int headerBytes;
  private final ByteBuf owner;

  /** Written by the device before {@link EventLoop#execute}, read after it. */
  private @Nullable Throwable failure;

  Reading(ReadPlan plan, EventLoop loop, int headerBytes, long offset, int length) {
    this.plan = plan;
    this.loop = loop;
    this.headerBytes = headerBytes;
    this.offset = offset;
    this.length = length;
    this.owner = loop.allocate(headerBytes + length);
  }

  void start(BlockDevice device) {
    try {
      device.readAsync(offset, owner.nioBuffer(headerBytes, length), this);
    } catch (RuntimeException e) {
      done(e); // It should have told the completion.
    }
  }

  @Override
  public void done(@Nullable Throwable outcome) {
    failure = outcome;
    loop.execute(this);
  }

  /** Takes the end over, on the loop. */
  @Override
  public void run() {
    plan.read(this, failure);
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
