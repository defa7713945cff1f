/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The fetches that are wanted or under way; {@link FetchQueue} has the order in which they are
 * taken.
 *
 * <p>Every block is in at most one fetch: a reader that misses joins the fetch that has its block,
 * or begins one. Demand is taken before background work, and background work never has the last
 * free workers; a reader that joins a background fetch makes it demand.
 *
 * <p>The map is keyed by the <em>next</em> block to land, and re-keyed as blocks land. A block that
 * has landed but could not be stored (the cache volume is full) is so simply absent again, and a
 * new read begins a new fetch.
 *
 * <p><b>Lock:</b> {@link #lock} guards everything here and in {@link Fetch}, {@link FetchQueue},
 * {@link Evictions} and {@link FetchUnit}. Under it: no I/O, no call of a source, no completion;
 * looking at and clearing bits of the store, and the lock of a {@link PendingRead}, yes.
 */
final class FetchTable {

  /** How planning is done; all in blocks. */
  record Shape(FetchUnit unit, long maxFetch, long maxBackground, long bridge) {}

  private final BlockStore store;
  private final Shape shape;
  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final TreeMap<Long, Fetch> inFlight = new TreeMap<>();

  @GuardedBy("lock")
  private final FetchQueue queue;

  @GuardedBy("lock")
  private final Evictions evicting = new Evictions();

  /**
   * Makes an empty table.
   *
   * @param workers how many fetches may run at once
   */
  FetchTable(BlockStore store, Shape shape, int workers) {
    this.store = store;
    this.shape = shape;
    this.queue = new FetchQueue(workers, lock.newCondition());
  }

  /** What for, and how much more than what is missing. */
  enum Want {
    /** A reader waits: widened to the grid. */
    DEMAND,
    /** A reader waits, and no more is asked for than it needs. */
    EXACT,
    /** Nobody waits: after all that somebody waits for. */
    BACKGROUND
  }

  /** What a reader's planning came to. */
  enum Outcome {
    /** All was there after all, or is being copied. */
    READY,
    /** Only fetches that others had begun are waited for. */
    JOINED,
    /** At least one fetch was begun. */
    BEGUN,
    /** The table is closed; nothing was planned. */
    CLOSED,
    /** Blocks are being evicted; plan again when told. */
    LATER
  }

  /**
   * Makes a read wait for each of its blocks that is not ready, in a fetch that is there or is
   * begun; and lists the ready runs, which the reader copies itself.
   *
   * @param ready filled with pairs of blocks, from and to
   * @param again run when planning can be tried again, if the outcome is LATER; the read has one
   *     more part then, which this has to end
   */
  Outcome plan(
      PendingRead read, long from, long to, List<long[]> ready, Want want, Runnable again) {
    lock.lock();
    try {
      if (queue.closed()) {
        return Outcome.CLOSED;
      }
      if (evicting.defer(from, to, again)) {
        read.addPart();
        return Outcome.LATER;
      }
      Outcome outcome = Outcome.READY;
      for (long block = from; block < to; ) {
        long notReady = store.nextNotReady(block, to);
        if (notReady > block) {
          ready.add(new long[] {block, notReady});
          block = notReady;
          continue;
        }
        Fetch fetch = covering(block);
        if (fetch == null) {
          beginFor(block, to, want);
          fetch = java.util.Objects.requireNonNull(covering(block));
          outcome = Outcome.BEGUN;
        } else if (outcome == Outcome.READY) {
          outcome = Outcome.JOINED;
        }
        long partEnd = Math.min(to, fetch.end);
        read.addPart();
        fetch.parts.add(new Fetch.Part(read, block, partEnd));
        if (want != Want.BACKGROUND && queue.raise(fetch)) {
          makeRoom();
        }
        block = partEnd;
      }
      assert invariant();
      return outcome;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Begins a fetch for a missing block; and, where a miss is to reach further than the unit, others
   * in the background for what is before it and after it, which nobody shall wait for.
   */
  @GuardedBy("lock")
  private void beginFor(long block, long to, Want want) {
    boolean exact = want == Want.EXACT;
    long unit = shape.unit.blocks();
    long reach = want == Want.DEMAND ? shape.unit.reach(block) : unit;
    long[] run = gap(block, to, exact, Math.min(reach, shape.maxFetch));
    begin(run, exact, want == Want.BACKGROUND);
    if (reach > unit && !queue.hasBackground()) { // or what is asked for piles up
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

  /** The first of the blocks before a given one that are absent and in no fetch. */
  @GuardedBy("lock")
  private long absentFrom(long block, long least) {
    Map.Entry<Long, Fetch> before = inFlight.lowerEntry(block);
    long low = before == null ? least : Math.max(least, before.getValue().end);
    long start = block;
    while (start > low && !store.present().get(start - 1) && !evicting.has(start - 1)) {
      start--;
    }
    return start;
  }

  /** The end of the blocks from a given one on that are absent and in no fetch. */
  @GuardedBy("lock")
  private long absentTo(long block, long most) {
    long high = nextInFlight(block, Math.min(most, store.geometry().blocks()));
    long end = block;
    while (end < high && !store.present().get(end) && !evicting.has(end)) {
      end++;
    }
    return end;
  }

  /** The fetch that will land a block, if there is one. */
  @GuardedBy("lock")
  private @Nullable Fetch covering(long block) {
    Map.Entry<Long, Fetch> entry = inFlight.floorEntry(block);
    return entry != null && block < entry.getValue().end ? entry.getValue() : null;
  }

  @GuardedBy("lock")
  private long nextInFlight(long block, long limit) {
    Long next = inFlight.ceilingKey(block);
    return next == null ? limit : Math.min(next, limit);
  }

  /**
   * The blocks to fetch for a missing one: to the end of what is missing, over small gaps of what
   * is present, widened while the neighbours are absent too: down to the grid of the fetch unit, up
   * to the grid of what it is to reach.
   */
  @GuardedBy("lock")
  private long[] gap(long block, long to, boolean exact, long reach) {
    long limit = nextInFlight(block, to);
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

  /** Puts fetches for a run of blocks into the table and the queue, split at the grid. */
  @GuardedBy("lock")
  private void begin(long[] run, boolean exact, boolean inBackground) {
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
      if (!lengthenQueued(from, to, exact, inBackground, most)) {
        Fetch fetch = new Fetch(from, to, inBackground, exact);
        inFlight.put(from, fetch);
        queue.add(fetch);
      }
      from = end;
    }
    if (!inBackground) {
      makeRoom();
    }
  }

  /** Joins a run to a queued fetch that ends where it begins, if both fit one fetch. */
  @GuardedBy("lock")
  private boolean lengthenQueued(
      long from, long to, boolean exact, boolean inBackground, long most) {
    Map.Entry<Long, Fetch> entry = inFlight.lowerEntry(from);
    if (entry == null) {
      return false;
    }
    Fetch before = entry.getValue();
    if (before.state != Fetch.State.QUEUED
        || before.end != from
        || before.narrow != exact
        || before.background != inBackground
        || to - before.next > most) {
      return false;
    }
    before.end = to;
    return true;
  }

  /** If all workers are busy and one of them with background work, that one is stopped. */
  @GuardedBy("lock")
  private void makeRoom() {
    if (!queue.demandIsStuck()) {
      return;
    }
    for (Fetch fetch : inFlight.values()) {
      if (fetch.background && fetch.state == Fetch.State.RUNNING && !fetch.cancelled) {
        fetch.cancelled = true;
        return;
      }
    }
  }

  /**
   * Begins background fetches for what is absent in a range and not in flight.
   *
   * @return the blocks begun
   */
  long planBackground(long from, long to) {
    lock.lock();
    try {
      long begun = 0;
      for (long block = from; block < to && !queue.closed(); ) {
        long absent = store.present().nextClear(block, to);
        Fetch fetch = absent < to ? covering(absent) : null;
        if (fetch != null || absent == to || evicting.has(absent)) {
          block = fetch != null ? fetch.end : absent + 1;
          continue;
        }
        long end = Math.min(store.present().nextSet(absent, to), nextInFlight(absent, to));
        end = evicting.next(absent, end);
        begin(new long[] {absent, end}, false, true);
        begun += end - absent;
        block = end;
      }
      assert invariant();
      return begun;
    } finally {
      lock.unlock();
    }
  }

  /** How many background fetches are queued or running. */
  int backgroundCount() {
    lock.lock();
    try {
      return queue.background();
    } finally {
      lock.unlock();
    }
  }

  /** Whether a worker should be started: there is work, and nobody free to take it. */
  boolean wantsWorker(int started) {
    lock.lock();
    try {
      return queue.wantsWorker(started);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes the next fetch to run; waits for one.
   *
   * @return null if the table is closed or nothing came in time: the worker ends
   */
  @Nullable Fetch take(long timeout, TimeUnit unit) throws InterruptedException {
    lock.lock();
    try {
      return queue.take(unit.toNanos(timeout));
    } finally {
      lock.unlock();
    }
  }

  /**
   * Whether a fetch should stop where it is. One that is to make room goes on while there is room
   * all the same: what is on its way to it would be for nothing.
   */
  boolean isCancelled(Fetch fetch) {
    lock.lock();
    try {
      return queue.closed() || (fetch.cancelled && fetch.background && queue.demandIsStuck());
    } finally {
      lock.unlock();
    }
  }

  /**
   * Says that blocks up to {@code landed} have been stored (or could not be).
   *
   * @param touched filled with the parts that these blocks belong to
   */
  void landed(Fetch fetch, long landed, List<Fetch.Part> touched) {
    lock.lock();
    try {
      long from = fetch.next;
      inFlight.remove(from, fetch);
      fetch.next = landed;
      if (landed < fetch.end) {
        inFlight.put(landed, fetch);
      }
      for (Iterator<Fetch.Part> parts = fetch.parts.iterator(); parts.hasNext(); ) {
        Fetch.Part part = parts.next();
        if (part.from() < landed) {
          touched.add(part);
          if (part.to() <= landed) {
            parts.remove();
          }
        }
      }
      assert invariant();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends a fetch, all landed or not.
   *
   * @return the parts that wait in vain
   */
  List<Fetch.Part> ended(Fetch fetch) {
    lock.lock();
    try {
      inFlight.remove(fetch.next, fetch);
      queue.ended(fetch);
      List<Fetch.Part> left = fetch.parts;
      fetch.parts = new ArrayList<>();
      assert invariant();
      return left;
    } finally {
      lock.unlock();
    }
  }

  /** Whether less comes within a wait for the source than a miss would reach for; no lock. */
  boolean linkIsSlow() {
    return shape.unit.limited();
  }

  /** Takes note of how long the source took for blocks of a fetch: to the first bytes, and on. */
  void took(Fetch fetch, long blocks, long waitNanos, long restNanos) {
    lock.lock();
    try {
      if (!fetch.background) {
        shape.unit.took(blocks, waitNanos, restNanos);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Makes a block absent whose bytes turned out wrong, unless it is being fetched already. */
  boolean heal(long block, boolean evenIfReady) {
    lock.lock();
    try {
      if (covering(block) != null
          || !store.present().get(block)
          || (!evenIfReady && store.isReady(block, block + 1))) {
        return false;
      }
      store.clear(block, block + 1);
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Lets readers use a block that was found right, unless it was made absent meanwhile. */
  void verified(long block) {
    lock.lock();
    try {
      if (store.present().get(block)) {
        store.setReady(block);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Drops queued background work that nobody waits for. */
  void cancelBackground() {
    lock.lock();
    try {
      for (Fetch fetch : queue.dropBackground()) {
        inFlight.remove(fetch.next, fetch);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Makes blocks absent for the evictor and keeps them from being fetched until {@link #evicted}.
   *
   * @return false if one of them is in flight or the table is closed; nothing was done
   */
  boolean evict(long from, long to) {
    lock.lock();
    try {
      if (queue.closed() || nextInFlight(from, to) < to || covering(from) != null) {
        return false;
      }
      evicting.begin(from, to);
      store.clear(from, to);
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Ends an eviction; the readers that came meanwhile are given back to be planned again. */
  List<Runnable> evicted(long from) {
    lock.lock();
    try {
      return evicting.end(from);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Refuses all further work and wakes the workers.
   *
   * @return the parts of every fetch, which now wait in vain, and what stops the fetches running
   */
  Closing close() {
    lock.lock();
    try {
      List<Fetch.Part> parts = new ArrayList<>();
      List<Runnable> aborts = new ArrayList<>();
      for (Fetch fetch : inFlight.values()) {
        parts.addAll(fetch.parts);
        fetch.parts = new ArrayList<>();
        Runnable abort = fetch.abort;
        if (abort != null) {
          aborts.add(abort);
        }
      }
      queue.close();
      return new Closing(parts, aborts, evicting.endAll());
    } finally {
      lock.unlock();
    }
  }

  /** What {@link #close} leaves to be done without the lock. */
  record Closing(List<Fetch.Part> parts, List<Runnable> aborts, List<Runnable> later) {}

  /** Every block in at most one fetch, keys right, counts right. */
  @GuardedBy("lock")
  private boolean invariant() {
    long last = 0;
    int runningSeen = 0;
    for (Map.Entry<Long, Fetch> entry : inFlight.entrySet()) {
      Fetch fetch = entry.getValue();
      if (entry.getKey() != fetch.next || fetch.next < last || fetch.end <= fetch.next) {
        return false;
      }
      last = fetch.end;
      runningSeen += fetch.background && fetch.state == Fetch.State.RUNNING ? 1 : 0;
    }
    return queue.fits(runningSeen);
  }
}
