/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

/**
 * How much is fetched around a small miss, learnt from what the readers do.
 *
 * <p>Readers that find their next bytes among those fetched around earlier misses (a starting
 * system, a tree of files) gain from much; readers that jump about an image pay for it. What tells
 * them apart is how many reads a miss saves: reads of blocks that had been fetched though nobody
 * had asked for them, per miss. (The share of hits would not do: reading the same few blocks again
 * and again makes many hits and no neighbours.) It is looked at every {@link #LOOK_EVERY} misses:
 *
 * <pre>
 *   below 1/3   the unit is halved, down to a quarter of the one that was set
 *   above 1     it is doubled, up to the one that was set; and from now on a miss reaches further:
 *               {@link #WIDE} units, and twice, four times or eight times as many (aligned to
 *               themselves) if three fifths of these are there then; all of that is taken which
 *               is missing without a gap
 * </pre>
 *
 * All units are powers of two, so that their grids lie within one another.
 *
 * <p>Reaching pays as long as what it brings comes in less time than a miss waits for its first
 * byte. So there is a limit, which is halved when the rest of a demand fetch took longer than that
 * wait, and doubled when a fetch of the limit's size (of {@link #WIDE} units, if that is less)
 * would take less than half of it: on a slow link a miss takes the unit.
 *
 * <p>Measured with the reads of a start-up (mount, walk, 500 files; 20 ms away), see
 * docs/performance.md. Growing by how much of the surroundings is there is done likewise by drivers
 * that move pages to an accelerator's memory (a "tree-based neighborhood prefetcher": Ganguly et
 * al., ISCA 2019).
 *
 * <p><b>Threads:</b> the lock of the {@link FetchTable} guards everything here but {@link
 * #limited}.
 */
final class FetchUnit {

  private static final int LOOK_EVERY = 16;

  /** The smallest unit, as a part of the one that was set. */
  private static final int SMALLER = 4;

  private static final int WIDE = 16;

  /** Waits shorter than this are taken for this, or nothing would be worth to be reached for. */
  private static final long SHORT_NANOS = 2_000_000;

  private final Counters counters;
  private final PagedBits there;
  private final long least;
  private final long most;
  private final long wide;
  private final long farthest;

  private long limit;
  private volatile boolean limited;
  private long leastWait = Long.MAX_VALUE;
  private long unit;
  private boolean reaching;
  private int misses;
  private long savedBefore;

  /**
   * Begins with the unit that was set.
   *
   * @param unit blocks, a power of two
   * @param farthest the most blocks that one miss may reach over
   * @param there the blocks of the device that need no fetch
   */
  FetchUnit(long unit, long farthest, PagedBits there, Counters counters) {
    this.unit = unit;
    this.least = Math.max(1, unit / SMALLER);
    this.most = unit;
    this.wide = Math.max(unit, Long.highestOneBit(Math.min(unit * WIDE, farthest)));
    this.farthest = Math.max(unit, Long.highestOneBit(farthest));
    this.limit = this.farthest;
    this.there = there;
    this.counters = counters;
  }

  /** The unit now, in blocks: where a miss is widened to. */
  long blocks() {
    return unit;
  }

  /**
   * Takes note of a miss.
   *
   * @return up to which multiple of how many blocks it is to reach; the unit or more
   */
  long reach(long block) {
    if (++misses == LOOK_EVERY) {
      look();
    }
    if (!reaching) {
      return unit;
    }
    long reach = Math.min(wide, limit);
    long absentHere = sizeOf(block, wide) - countOf(block, wide);
    for (long next = wide * 2; next <= limit; next *= 2) {
      if ((countOf(block, next) + absentHere) * 5 >= next * 3) {
        reach = next;
      }
    }
    return Math.max(reach, unit);
  }

  /**
   * Whether a miss may not even reach over {@link #WIDE} units now, as the link is slow. Any
   * thread, without the lock.
   */
  boolean limited() {
    return limited;
  }

  /**
   * Takes note of how long a fetch took that a reader waited for.
   *
   * @param blocks how many came
   * @param waitNanos until the first bytes came
   * @param restNanos of waiting for the source from then on
   */
  void took(long blocks, long waitNanos, long restNanos) {
    // The least wait is that of an idle link; it is forgotten in time, as links change.
    leastWait =
        leastWait == Long.MAX_VALUE ? waitNanos : Math.min(waitNanos, leastWait + leastWait / 64);
    long wait = Math.max(leastWait, SHORT_NANOS);
    long atLimit = restNanos / Math.max(1, blocks) * Math.max(blocks, Math.min(limit, wide));
    if (restNanos > wait) {
      limit = Math.max(most, limit / 2);
    } else if (atLimit < wait / 2 && waitNanos < wait * 2 && blocks >= most) {
      // What came in one piece has no rest; on a slow link it was waited for longer.
      limit = Math.min(farthest, limit * 2);
    }
    limited = limit < wide;
  }

  /** How many blocks are there, of so many (aligned) around a given one. */
  private long countOf(long block, long around) {
    long start = block - block % around;
    return there.count(start, start + sizeOf(block, around));
  }

  /** So many, but for those behind the end. */
  private long sizeOf(long block, long around) {
    return Math.min(around, there.bits() - (block - block % around));
  }

  private void look() {
    long saved = counters.savedReads.sum();
    long gain = saved - savedBefore;
    savedBefore = saved;
    if (gain * 3 < misses) {
      unit = Math.max(least, unit / 2);
      reaching = false;
    } else if (gain > misses) {
      unit = Math.min(most, unit * 2);
      reaching = true;
    }
    misses = 0;
  }
}
