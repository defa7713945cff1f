/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.ReadCompletion;
import io.uloop.UloopException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/** A read that misses, and whose thread waits for it; an interrupt ends the wait, not the fetch. */
final class BlockingRead implements ReadCompletion {

  private final PendingRead read;
  private final long offset;
  private final CountDownLatch done = new CountDownLatch(1);
  private volatile @Nullable Throwable failure;

  BlockingRead(long offset, ByteBuffer dst) {
    this.offset = offset;
    this.read = new PendingRead(offset, dst, this);
  }

  @Override
  public void done(@Nullable Throwable cause) {
    failure = cause;
    done.countDown();
  }

  /**
   * Submits the read and waits for its end.
   *
   * @throws InterruptedIOException if the thread was interrupted; the buffer is not written to then
   */
  void run(MissPath misses) throws IOException {
    misses.submit(read);
    try {
      done.await();
    } catch (InterruptedException e) {
      if (read.giveUp()) {
        Thread.currentThread().interrupt();
        InterruptedIOException interrupted =
            new InterruptedIOException("interrupted while reading at " + offset);
        interrupted.initCause(e);
        throw interrupted;
      }
      awaitUninterruptibly(done);
      Thread.currentThread().interrupt();
    }
    Throwable cause = failure;
    if (cause != null) {
      throw asThrown(cause);
    }
  }

  /**
   * Waits for something that is about to happen, whatever comes; an interrupt is kept for later.
   */
  static void awaitUninterruptibly(CountDownLatch latch) {
    boolean interrupted = false;
    while (true) {
      try {
        latch.await();
        break;
      } catch (InterruptedException e) {
        interrupted = true; // what is waited for happens right now
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Makes of a failure that many readers share one of this reader's own. */
  private static IOException asThrown(Throwable cause) {
    if (cause instanceof UloopException known) {
      return known.copy();
    } else if (cause instanceof ClosedChannelException) {
      return new ClosedChannelException();
    } else if (cause instanceof IOException io) {
      return new IOException(io.getMessage(), io);
    } else if (cause instanceof Error error) {
      throw error;
    }
    throw new IllegalStateException(cause);
  }
}
