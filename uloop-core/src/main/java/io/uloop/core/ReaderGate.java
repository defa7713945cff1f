/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/**
 * Lets the evictor wait until nobody reads what it made absent.
 *
 * <p>Readers are counted by the parity of the epoch in which they came. The evictor clears bits,
 * begins a new epoch and waits until the count of the old one is zero: readers that might have seen
 * the bits are gone, later ones see them cleared. A reader that counts itself while the epoch
 * changes does so again.
 *
 * <p>The counts are single atomic words. Striped ones would cost less, but their sum is taken cell
 * by cell: a reader that comes in and goes again meanwhile could hide one that stays.
 *
 * <p><b>Threads:</b> readers any number, evictor one.
 */
final class ReaderGate {

  private static final long POLL_NANOS = 50_000;

  private final AtomicLong even = new AtomicLong();
  private final AtomicLong odd = new AtomicLong();
  private volatile long epoch;

  /** Comes in; give what this returns to {@link #leave}. */
  long enter() {
    while (true) {
      long now = epoch;
      AtomicLong readers = of(now);
      readers.incrementAndGet();
      if (epoch == now) {
        return now;
      }
      readers.decrementAndGet();
    }
  }

  void leave(long entered) {
    of(entered).decrementAndGet();
  }

  /** Waits until all readers that are in now have left. */
  void awaitReaders() {
    long old = epoch;
    epoch = old + 1;
    AtomicLong readers = of(old);
    while (readers.get() != 0) {
      LockSupport.parkNanos(this, POLL_NANOS);
    }
  }

  private AtomicLong of(long number) {
    return (number & 1) == 0 ? even : odd;
  }
}
