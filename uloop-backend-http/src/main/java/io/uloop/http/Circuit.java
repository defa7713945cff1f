/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongSupplier;

/**
 * Keeps readers away from a server that is down, and lets them back when it answers again.
 *
 * <pre>
 *   closed --(3 failures in a row, or the server asks to be left alone)--> open
 *   open   --(its time is over; the next reader goes ahead as the probe)--> half-open
 *   half-open --(the probe got an answer)--> closed, everybody goes ahead
 *   half-open --(the probe failed)--> open, for twice as long up to 2 s
 * </pre>
 *
 * <p>So a server that is down sees one request per interval, however many readers wait. They wait
 * here, each until its own deadline. Intervals have jitter, so that the readers of many devices do
 * not come back in step.
 *
 * <p><b>Threads:</b> all methods for any thread. {@link #lock} guards the fields; nothing but the
 * wait itself blocks under it.
 */
final class Circuit {

  static final long FIRST_OPEN_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  static final long LONGEST_OPEN_NANOS = TimeUnit.SECONDS.toNanos(2);
  private static final int FAILURES_TO_OPEN = 3;

  private final LongSupplier nanoTime;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final SplittableRandom random;
  private int failures;
  private int opened;
  private boolean open;
  private boolean probing;
  private long openUntil;

  /** Whether a request may be sent. */
  enum Admission {
    /** It may. */
    GO,
    /** It may, and the others wait for how it ends. */
    PROBE,
    /** Not before the deadline, or the reader wants no more. */
    NO
  }

  /** What a waiting reader asks each time it wakes. */
  @FunctionalInterface
  interface Wanted {
    /** Tells whether the reader still wants to go ahead. */
    boolean stillWanted();
  }

  Circuit(LongSupplier nanoTime, long seed) {
    this.nanoTime = nanoTime;
    this.random = new SplittableRandom(seed);
  }

  /**
   * Waits until a request may be sent; unless the answer is {@code NO}, {@link #succeeded}, {@link
   * #failed} or {@link #undecided} must follow.
   *
   * @param notBefore the reader's own back-off; the clock's present time if it has none
   * @param deadline until when to wait at most
   */
  Admission admit(long notBefore, long deadline, Wanted wanted) throws InterruptedException {
    lock.lock();
    try {
      while (true) {
        long now = nanoTime.getAsLong();
        if (!wanted.stillWanted() || deadline - now <= 0) {
          return Admission.NO;
        }
        long wait;
        if (notBefore - now > 0) {
          wait = notBefore - now;
        } else if (!open) {
          return Admission.GO;
        } else if (probing) {
          wait = deadline - now;
        } else if (openUntil - now <= 0) {
          probing = true;
          return Admission.PROBE;
        } else {
          wait = openUntil - now;
        }
        changed.awaitNanos(Math.min(wait, deadline - now));
      }
    } finally {
      lock.unlock();
    }
  }

  /** Gives how long until a request may be sent; 0 if at once. */
  long nanosUntilAdmission() {
    lock.lock();
    try {
      if (!open) {
        return 0;
      }
      return probing ? LONGEST_OPEN_NANOS : Math.max(0, openUntil - nanoTime.getAsLong());
    } finally {
      lock.unlock();
    }
  }

  /**
   * Says that the server answered.
   *
   * @return whether it had been down
   */
  boolean succeeded() {
    lock.lock();
    try {
      boolean wasOpen = open;
      failures = 0;
      opened = 0;
      open = false;
      probing = false;
      if (wasOpen) {
        changed.signalAll();
      }
      return wasOpen;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Says that the server gave no answer, or one that asks to come back later.
   *
   * @param leaveAloneNanos for how long it asked not to be asked; zero if it did not
   * @return whether the circuit opened by this
   */
  boolean failed(Admission admission, long leaveAloneNanos) {
    lock.lock();
    try {
      failures++;
      boolean wasOpen = open;
      if (wasOpen && admission != Admission.PROBE && leaveAloneNanos == 0) {
        // A request sent before the circuit opened: says nothing new.
        return false;
      }
      if (failures >= FAILURES_TO_OPEN || wasOpen || leaveAloneNanos > 0) {
        open = true;
        probing = false;
        long interval = Math.max(backoff(opened++), leaveAloneNanos);
        openUntil = nanoTime.getAsLong() + interval;
        changed.signalAll();
      }
      return open && !wasOpen;
    } finally {
      lock.unlock();
    }
  }

  /** Says that the request ended without telling anything about the server. */
  void undecided(Admission admission) {
    lock.lock();
    try {
      if (admission == Admission.PROBE) {
        probing = false;
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Makes the waiting readers ask whether they are still wanted. */
  void wake() {
    lock.lock();
    try {
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Gives a time to wait before try number {@code n + 1}: 100 ms doubled each time up to 2 s, of
   * which half is left to chance.
   */
  long backoff(int n) {
    lock.lock();
    try {
      long full = Math.min(LONGEST_OPEN_NANOS, FIRST_OPEN_NANOS << Math.min(n, 10));
      return full / 2 + random.nextLong(full / 2 + 1);
    } finally {
      lock.unlock();
    }
  }
}
