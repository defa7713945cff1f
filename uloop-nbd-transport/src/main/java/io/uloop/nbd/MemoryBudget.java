/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The bytes that the requests of all connections hold together.
 *
 * <p>A connection that gets none registers and is resumed when some came back. Safe for any thread:
 * the two fields are atomic, and the race between a refusal and a release is closed by asking once
 * more after registering.
 */
final class MemoryBudget {

  private final long limit;
  private final AtomicLong used = new AtomicLong();
  private final Queue<Runnable> waiters = new ConcurrentLinkedQueue<>();

  MemoryBudget(long limit) {
    this.limit = limit;
  }

  /**
   * Takes bytes, or registers for a later try.
   *
   * @param bytes how many, one request's
   * @param resume run once, on any thread, when a new try may succeed; must not block
   * @return whether they were taken
   */
  boolean take(long bytes, Runnable resume) {
    if (tryTake(bytes)) {
      return true;
    }
    waiters.add(resume);
    if (tryTake(bytes)) {
      waiters.remove(resume);
      return true;
    }
    return false;
  }

  private boolean tryTake(long bytes) {
    while (true) {
      long now = used.get();
      if (now > limit - bytes) {
        return false;
      }
      if (used.compareAndSet(now, now + bytes)) {
        return true;
      }
    }
  }

  /** Gives bytes back and resumes whoever waits. */
  void release(long bytes) {
    used.addAndGet(-bytes);
    // Waking all keeps it simple; those who still get none register again.
    for (int n = waiters.size(); n > 0; n--) {
      Runnable next = waiters.poll();
      if (next == null) {
        return;
      }
      next.run();
    }
  }

  boolean contended() {
    return !waiters.isEmpty();
  }

  long used() {
    return used.get();
  }
}
