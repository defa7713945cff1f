/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Decides which blocks are fetched together, and puts the fetches into flight and into the queue.
 *
 * <p>A miss takes what is missing, over small gaps of what is present, widened to the grid of the
 * {@link FetchUnit}; and where it is to reach further, the rest of that in the background. Fetches
 * are split at the grid of the most that one may take.
 *
 * <p><b>Threads:</b> the lock of the {@link FetchTable} guards everything here.
 */
final class FetchPlanner {

  /** So many background fetches are queued at most for what was wished for. */
  private static final int MOST_WISHED = 64;

  /** A wish more than that is not taken. */
  private static final int MOST_WISHES = 1024;

  /** How planning is done; all in blocks. */
  record Shape(FetchUnit unit, long maxFetch, long maxBackground, long bridge) {}

  private final BlockStore store;
  private final Shape shape;
  private final FetchesInFlight inFlight;
  private final FetchQueue queue;
  private final Evictions evicting;

  /** Ranges, from and to, that were wished for and are not in flight yet. */
  private final ArrayDeque<long[]> wishes = new ArrayDeque<>();

  FetchPlanner(
      BlockStore store,
      Shape shape,
      FetchesInFlight inFlight,
      FetchQueue queue,
      Evictions evicting) {
    this.store = store;
    this.shape = shape;
    this.inFlight = inFlight;
    this.queue = queue;
    this.evicting = evicting;
  }

  /**
   * Begins a fetch for a missing block; and, where a miss is to reach further than the unit, others
   * in the background for what is before it and after it, which nobody shall wait for.
   *
   * @param to the end of what is asked for
   */
  void begin(long block, long to, FetchTable.Want want) {
    boolean exact = want.exact;
    long unit = shape.unit.blocks();
    long reach = want == FetchTable.Want.DEMAND ? shape.unit.reach(block) : unit;
    long[] run = gap(block, to, exact, Math.min(reach, shape.maxFetch));
    begin(run, want.narrow, want.background);
    if (reach > unit && queue.queuedBackground() == 0) { // or what is asked for piles up
      long start = absentFrom(run[0], block - block % reach);
      if (start < run[0]) {
        begin(new long[] {start, run[0]}, false, true);
      }
      long end = absentTo(run[1], block - block % reach + reach);
      if (run[1] < end) {
        begin(new long[] {run[1], end}, false, true);
      }
    }
  }

  /**
   * Begins background fetches for what is absent in a range, not in flight and not being evicted.
   *
   * @return the blocks begun
   */
  long beginBackground(long from, long to) {
    long begun = 0;
    for (long[] run = absent(from, to); run != null; run = absent(run[1], to)) {
      if (!evicting.has(run[0])) {
        begin(run, false, true);
        begun += run[1] - run[0];
      }
    }
    return begun;
  }

  /** The next run that is absent and not in flight, all of it being evicted or nothing. */
  private long @Nullable [] absent(long from, long to) {
    for (long block = from; (block = store.present().nextClear(block, to)) < to; ) {
      Fetch fetch = inFlight.covering(block);
      if (fetch == null) {
        long end = Math.min(store.present().nextSet(block, to), inFlight.next(block, to));
        long evicted = evicting.after(block);
        end = evicted > block ? Math.min(end, evicted) : evicting.next(block, end);
        return new long[] {block, end};
      }
      block = fetch.end;
    }
    return null;
  }

  /** Takes a wish for a range, a hint, and begins what has room in the queue. */
  void wish(long from, long to) {
    long[] last = wishes.peekLast();
    if (last != null && from <= last[1] && last[0] <= to) {
      last[0] = Math.min(from, last[0]);
      last[1] = Math.max(to, last[1]);
    } else if (from < to && wishes.size() < MOST_WISHES) {
      wishes.add(new long[] {from, to});
    }
    beginWishes();
  }

  void dropWishes() {
    wishes.clear();
  }

  /** Begins background fetches for what was wished for, as far as there is room in the queue. */
  void beginWishes() {
    for (long[] wish; (wish = wishes.peek()) != null; ) {
      long[] run = absent(wish[0], wish[1]);
      if (run == null) {
        wishes.remove();
        continue;
      }
      wish[0] = run[0];
      int room = MOST_WISHED - queue.queuedBackground();
      if (room <= 0 || evicting.has(run[0])) {
        return; // it is looked at again with the next fetch that is taken
      }
      // As if from the beginning of the grid, or one fetch more might come of it.
      long most = (run[0] / shape.maxBackground + room) * shape.maxBackground;
      begin(new long[] {run[0], Math.min(run[1], most)}, false, true);
    }
  }

  /**
   * The blocks to fetch for a missing one: to the end of what is missing, over small gaps of what
   * is present, widened while the neighbours are absent too: down to the grid of the fetch unit, up
   * to the grid of what it is to reach.
   */
  private long[] gap(long block, long to, boolean exact, long reach) {
    long limit = inFlight.next(block, to);
    long end = store.nextReady(block, limit);
    while (end < limit) {
      long missing = store.nextNotReady(end, Math.min(limit, end + shape.bridge + 1));
      if (missing >= limit || missing - end > shape.bridge) {
        break;
      }
      end = store.nextReady(missing, limit);
    }
    if (exact) {
      return new long[] {block, end};
    }
    end = absentTo(end, (end + reach - 1) / reach * reach);
    return new long[] {absentFrom(block, block - block % shape.unit.blocks()), end};
  }

  /** The first of the blocks before a given one that are absent and in no fetch. */
  private long absentFrom(long block, long least) {
    Fetch before = inFlight.before(block);
    long low = before == null ? least : Math.max(least, before.end);
    long start = block;
    while (start > low && isAbsent(start - 1)) {
      start--;
    }
    return start;
  }

  /** The end of the blocks from a given one on that are absent and in no fetch. */
  private long absentTo(long block, long most) {
    long high = inFlight.next(block, Math.min(most, store.geometry().blocks()));
    long end = block;
    while (end < high && isAbsent(end)) {
      end++;
    }
    return end;
  }

  private boolean isAbsent(long block) {
    return !store.present().get(block) && !evicting.has(block);
  }

  /** Puts fetches for a run of blocks into flight and into the queue, split at the grid. */
  private void begin(long[] run, boolean narrow, boolean inBackground) {
    long most = inBackground ? shape.maxBackground : shape.maxFetch;
    for (long from = run[0]; from < run[1]; ) {
      long end = Math.min(run[1], (from / most + 1) * most);
      // What is ready and was to be gone over may be at an end now.
      from = store.nextNotReady(from, end);
      long to = end;
      while (to > from && store.isReady(to - 1, to)) {
        to--;
      }
      if (from == to) {
        from = end;
        continue;
      }
      if (!lengthenQueued(from, to, narrow, inBackground, most)) {
        Fetch fetch = new Fetch(from, to, inBackground, narrow);
        inFlight.add(fetch);
        queue.add(fetch);
      }
      from = end;
    }
  }

  /**
   * Joins a run to a queued fetch that ends where it begins, if both fit one fetch. A narrow one is
   * for its own blocks alone: what is bad in another's must not fail it.
   */
  private boolean lengthenQueued(
      long from, long to, boolean narrow, boolean inBackground, long most) {
    Fetch before = inFlight.before(from);
    if (narrow
        || before == null
        || before.state != Fetch.State.QUEUED
        || before.end != from
        || before.narrow
        || before.background != inBackground
        || to - before.next > most) {
      return false;
    }
    before.end = to;
    return true;
  }
}
