/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * How much is fetched for a small miss, learnt from what the readers do.
 *
 * <p>Readers that find their next bytes among those fetched for others before (a starting system, a
 * tree of files) gain from a large unit; readers that jump about an image pay for it. The share of
 * reads that were hits tells them apart: it is looked at every {@link #LOOK_EVERY} misses, and the
 * unit is made smaller below {@link #FEW_PERCENT} and larger above {@link #MANY_PERCENT}. All units
 * are powers of two, so that their grids lie within one another.
 *
 * <p><b>Threads:</b> any; a race makes a look come a little late.
 */
final class FetchUnit {

  private static final int LOOK_EVERY = 64;
  private static final int FEW_PERCENT = 25;
  private static final int MANY_PERCENT = 60;

  /** The smallest and the largest unit, as parts and multiples of the one that was set. */
  private static final int SMALLER = 4;

  private final Counters counters;
  private final long least;
  private final long most;
  private final AtomicInteger misses = new AtomicInteger();
  private volatile long blocks;
  private volatile long hitsBefore;

  /**
   * Begins with the unit that was set.
   *
   * @param blocks of that unit, a power of two
   */
  FetchUnit(long blocks, Counters counters) {
    this.blocks = blocks;
    this.least = Math.max(1, blocks / SMALLER);
    this.most = blocks;
    this.counters = counters;
  }

  /** The unit now, in blocks. */
  long blocks() {
    return blocks;
  }

  /** Notes that a reader missed. */
  void missed() {
    if (misses.incrementAndGet() % LOOK_EVERY != 0) {
      return;
    }
    long hits = counters.hits.sum();
    long reads = hits - hitsBefore + LOOK_EVERY;
    long percent = (hits - hitsBefore) * 100 / reads;
    hitsBefore = hits;
    if (percent < FEW_PERCENT) {
      blocks = Math.max(least, blocks / 2);
    } else if (percent > MANY_PERCENT) {
      blocks = Math.min(most, blocks * 2);
    }
  }
}
