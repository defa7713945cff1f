/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.ArrayDeque;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * Buffers for bodies, used again and again.
 *
 * <p>Three sizes, for small reads, larger ones, and whole fetches of a copy: together they keep at
 * most 3 MiB and {@link #WHOLE_BYTES} for each of {@link #WHOLE_MOST}. Of the two smaller sizes
 * there are as many as are wanted, made and left to the collector beyond what is kept.
 *
 * <p>Who gets a whole one can empty its socket in one go before anything else is done with the
 * bytes, which costs the kernel a third less. There are only as many as there is use for: on a fast
 * line, more bodies at once than processors that take them push one another out of the caches. A
 * body that comes when all are lent waits for one a moment, and else is taken in smaller pieces: on
 * a slow line a body keeps its buffer for long, and nobody shall wait for that.
 *
 * <p>Heap buffers: the JDK's sockets read into them through a direct buffer of their own either
 * way, 128 KiB at a time.
 */
final class BufferPool {

  static final int SMALL_BYTES = 32 * 1024;
  static final int LARGE_BYTES = 256 * 1024;
  static final int WHOLE_BYTES = 1024 * 1024;

  /** So many whole ones are lent at once. */
  static final int WHOLE_MOST = 4;

  /** How long is waited for a whole one: what taking a body takes on a fast line. */
  private static final long WAIT_MILLIS = 2;

  private static final int SMALL_KEPT = 32;
  private static final int LARGE_KEPT = 8;

  private final Semaphore wholeFree = new Semaphore(WHOLE_MOST);

  // Guarded by this.
  private final ArrayDeque<byte[]> small = new ArrayDeque<>();
  private final ArrayDeque<byte[]> large = new ArrayDeque<>();
  private final ArrayDeque<byte[]> whole = new ArrayDeque<>();
  private int lent;

  /**
   * Lends a buffer: of the smallest size that holds so many bytes, or of the largest that there is.
   */
  byte[] take(long wanted) {
    int length = wanted <= SMALL_BYTES ? SMALL_BYTES : LARGE_BYTES;
    if (wanted > LARGE_BYTES && wholeComesFree()) {
      length = WHOLE_BYTES;
    }
    byte[] kept;
    synchronized (this) {
      lent++;
      kept = kept(length).pollFirst();
    }
    return kept != null ? kept : new byte[length];
  }

  /** Waits a moment for the right to a whole buffer. */
  private boolean wholeComesFree() {
    try {
      return wholeFree.tryAcquire(WAIT_MILLIS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      // Whoever waits next, for bytes or a connection, ends the read for it.
      Thread.currentThread().interrupt();
      return false;
    }
  }

  private ArrayDeque<byte[]> kept(int length) {
    return length == SMALL_BYTES ? small : length == LARGE_BYTES ? large : whole;
  }

  /** Takes a buffer back. */
  void give(byte[] buffer) {
    synchronized (this) {
      lent--;
      ArrayDeque<byte[]> kept = kept(buffer.length);
      int most = buffer.length == SMALL_BYTES ? SMALL_KEPT : LARGE_KEPT;
      if (kept.size() < most) {
        kept.addFirst(buffer);
      }
    }
    if (buffer.length == WHOLE_BYTES) {
      wholeFree.release();
    }
  }

  /** Counts the buffers lent and not given back. */
  synchronized int lent() {
    return lent;
  }
}
