/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;

/**
 * Lets the evictor wait until nobody reads what it made absent.
 *
 * <p>Readers are counted by the parity of the epoch in which they came. The evictor clears bits,
 * begins a new epoch and waits until the count of the old one is zero: readers that might have seen
 * the bits are gone, later ones see them cleared. A reader that counts itself while the epoch
 * changes does so again.
 *
 * <p>Why the sum of a {@link LongAdder} is exact enough: when it is taken, no reader enters the old
 * epoch any more, so each cell can only go down by readers that have left.
 *
 * <p><b>Threads:</b> readers any number, evictor one.
 */
final class ReaderGate {

  private static final long POLL_NANOS = 50_000;

  private final LongAdder even = new LongAdder();
  private final LongAdder odd = new LongAdder();
  private volatile long epoch;

  /** Comes in; give what this returns to {@link #leave}. */
  long enter() {
    while (true) {
      long now = epoch;
      LongAdder readers = of(now);
      readers.increment();
      if (epoch == now) {
        return now;
      }
      readers.decrement();
    }
  }

  void leave(long entered) {
    of(entered).decrement();
  }

  /** Waits until all readers that are in now have left. */
  void awaitReaders() {
    long old = epoch;
    epoch = old + 1;
    LongAdder readers = of(old);
    while (readers.sum() != 0) {
      LockSupport.parkNanos(this, POLL_NANOS);
    }
  }

  private LongAdder of(long number) {
    return (number & 1) == 0 ? even : odd;
  }
}
