/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
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
  private final Set<Runnable> waiters = ConcurrentHashMap.newKeySet();

  MemoryBudget(long limit) {
    this.limit = limit;
  }

  /**
   * Takes bytes, or registers for a later try.
   *
   * @param bytes how many, one request's
   * @param resume run on any thread when a new try may succeed; must not block; one connection's is
   *     always the same object
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
    for (Runnable waiter : List.copyOf(waiters)) {
      if (waiters.remove(waiter)) {
        waiter.run();
      }
    }
  }

  /** Forgets somebody who will not ask again. */
  void forget(Runnable resume) {
    waiters.remove(resume);
  }

  boolean contended() {
    return !waiters.isEmpty();
  }

  long used() {
    return used.get();
  }
}
