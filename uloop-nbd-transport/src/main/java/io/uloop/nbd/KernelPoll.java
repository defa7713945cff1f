/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Waits for states of the kernel that nothing announces. */
final class KernelPoll {

  private static final long FIRST_PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(2);
  private static final long LONGEST_PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

  private KernelPoll() {}

  /** A state that may come about. */
  interface Condition {
    boolean holds() throws IOException;
  }

  /**
   * Looks again and again, at growing intervals.
   *
   * @return whether it came about in time
   * @throws InterruptedIOException if the thread was interrupted, and still is then
   */
  static boolean until(Duration limit, Condition condition) throws IOException {
    long end = System.nanoTime() + limit.toNanos();
    long pause = FIRST_PAUSE_NANOS;
    while (!condition.holds()) {
      long left = end - System.nanoTime();
      if (left <= 0) {
        return false;
      }
      try {
        TimeUnit.NANOSECONDS.sleep(Math.min(pause, left));
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("interrupted");
      }
      pause = Math.min(2 * pause, LONGEST_PAUSE_NANOS);
    }
    return true;
  }
}
