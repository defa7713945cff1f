/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.uloop.ReadCompletion;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A read that waits for fetches; state, not a parked thread.
 *
 * <p>It is made of parts: one for what the reader copies itself, one for each fetch it waits for.
 * Each landing piece of a fetch is copied straight into the reader's buffer, so the read needs
 * nothing from the cache file and succeeds also when the cache volume does not. With the last part
 * the read is done. It is done early by a failure or when the reader gives up; from then on its
 * buffer is the reader's again and is not touched, which is what {@link #lock} is for.
 *
 * <p>One without a buffer waits until its bytes have come, and leaves it to its reader to take them
 * from where they are; what could not be stored is not there then.
 */
final class PendingRead {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  private final long offset;
  private final @Nullable ByteBuffer dst;
  private final int base;
  private final long length;
  private final ReadCompletion completion;

  /** Guards the buffer's content and the fields below; held for copies of memory, nothing else. */
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private int parts = 1;

  @GuardedBy("lock")
  private boolean done;

  /** Begins with one part, the reader's own. */
  PendingRead(long offset, ByteBuffer dst, ReadCompletion completion) {
    if (dst.isReadOnly()) {
      throw new ReadOnlyBufferException();
    }
    this.offset = offset;
    this.dst = dst;
    this.base = dst.position();
    this.length = dst.remaining();
    this.completion = completion;
  }

  /** Begins one without a buffer. */
  PendingRead(long offset, long length, ReadCompletion completion) {
    this.offset = offset;
    this.dst = null;
    this.base = 0;
    this.length = length;
    this.completion = completion;
  }

  long offset() {
    return offset;
  }

  long end() {
    return offset + length;
  }

  void addPart() {
    lock.lock();
    try {
      parts++;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Copies what overlaps from a piece of the image.
   *
   * @param piece bytes from its position to its limit; left as they are
   * @param pieceStart where in the image its position is
   */
  void copy(ByteBuffer piece, long pieceStart) {
    long from = Math.max(offset, pieceStart);
    long to = Math.min(end(), pieceStart + piece.remaining());
    ByteBuffer buffer = dst;
    if (from >= to || buffer == null) {
      return;
    }
    lock.lock();
    try {
      if (!done) {
        buffer.put(
            base + (int) (from - offset),
            piece,
            piece.position() + (int) (from - pieceStart),
            (int) (to - from));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Copies ready bytes from the store; on the reader's own part. */
  void copy(BlockStore store, long from, long to) throws java.io.IOException {
    ByteBuffer buffer = dst;
    if (buffer == null) {
      return;
    }
    lock.lock();
    try {
      if (!done) {
        store.copy(from, buffer, base + (int) (from - offset), (int) (to - from));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Ends a part; with the last one the read is done and its completion runs. */
  void partDone() {
    lock.lock();
    try {
      if (--parts > 0 || done) {
        return;
      }
      done = true;
      if (dst != null) {
        dst.position(base + (int) length);
      }
    } finally {
      lock.unlock();
    }
    complete(null);
  }

  /** Ends the read with a failure, unless it is done. */
  void fail(Throwable failure) {
    if (finish()) {
      complete(failure);
    }
  }

  /**
   * Takes the buffer back; the completion will not run.
   *
   * @return false if the read was done before
   */
  boolean giveUp() {
    return finish();
  }

  private void complete(@Nullable Throwable failure) {
    try {
      completion.done(failure);
    } catch (Throwable e) { // checked ones too: not every language has them declared
      // It must not throw; if it does, others that wait for the same fetch must not pay for it.
      LOG.log(Level.WARNING, "a read's completion failed", e);
    }
  }

  private boolean finish() {
    lock.lock();
    try {
      if (done) {
        return false;
      }
      done = true;
      return true;
    } finally {
      lock.unlock();
    }
  }

  boolean isDone() {
    lock.lock();
    try {
      return done;
    } finally {
      lock.unlock();
    }
  }
}
