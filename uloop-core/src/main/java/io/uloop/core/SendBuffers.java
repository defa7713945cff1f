/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Direct buffers through which a bounded cache sends; a few are kept, the rest is the collector's.
 *
 * <p><b>Threads:</b> any. The lock is held for a look at a short list.
 */
final class SendBuffers {

  static final int BYTES = 128 * 1024;
  private static final int MOST_KEPT = 4;

  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final ArrayDeque<ByteBuffer> kept = new ArrayDeque<>(MOST_KEPT);

  /** Lends a buffer; give it back with {@link #give}. */
  ByteBuffer take() {
    lock.lock();
    try {
      ByteBuffer buffer = kept.pollLast();
      if (buffer != null) {
        return buffer;
      }
    } finally {
      lock.unlock();
    }
    return ByteBuffer.allocateDirect(BYTES);
  }

  void give(ByteBuffer buffer) {
    lock.lock();
    try {
      if (kept.size() < MOST_KEPT) {
        kept.addLast(buffer);
      }
    } finally {
      lock.unlock();
    }
  }
}
