/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The fetches that are wanted or under way: one lock around {@link FetchesInFlight}, which knows
 * them by their blocks, {@link FetchQueue}, which has the order in which they are taken, and {@link
 * FetchPlanner}, which begins them.
 *
 * <p>Every block is in at most one fetch: a reader that misses joins the fetch that has its block,
 * or begins one. Demand is taken before background work, and background work never has the last
 * free workers; a reader that joins a background fetch makes it demand.
 *
 * <p><b>Lock:</b> {@link #lock} guards everything here and in {@link Fetch}, the three above,
 * {@link Evictions} and {@link FetchUnit}. Under it: no I/O, no call of a source, no completion;
 * looking at and clearing bits of the store, and the lock of a {@link PendingRead}, yes.
 */
final class FetchTable {

  private final BlockStore store;
  private final FetchUnit unit;

  /** More threads than this help nobody. */
  private static final int MOST_FETCHES = 64;

  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final FetchesInFlight inFlight = new FetchesInFlight();

  @GuardedBy("lock")
  private final FetchQueue queue;

  @GuardedBy("lock")
  private final Evictions evicting = new Evictions();

  @GuardedBy("lock")
  private final FetchPlanner planner;

  /**
   * Makes an empty table.
   *
   * @param parallelism how many reads the source allows at once
   */
  FetchTable(BlockStore store, FetchPlanner.Shape shape, int parallelism) {
    this.store = store;
    this.unit = shape.unit();
    this.queue = new FetchQueue(workers(parallelism), lock.newCondition());
    this.planner = new FetchPlanner(store, shape, inFlight, queue, evicting);
  }

  /** What for, and how much more than what is missing. */
  enum Want {
    /** A reader waits: widened to the grid. */
    DEMAND(false, false, false),
    /** A reader waits, and no more is asked for than it needs. */
    EXACT(true, true, false),
    /** Nobody waits: after all that somebody waits for. */
    BACKGROUND(false, false, true),
    /** Nobody waits, and no more is asked for than is wanted. */
    BACKGROUND_EXACT(true, true, true),
    /** Nobody waits, there is room for no more, and what of it can be had is wanted. */
    FILL(true, false, true);

    final boolean exact;
    final boolean narrow;
    final boolean background;

    Want(boolean exact, boolean narrow, boolean background) {
      this.exact = exact;
      this.narrow = narrow;
      this.background = background;
    }
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
        Fetch fetch = inFlight.covering(block);
        if (fetch == null) {
          planner.begin(block, to, want);
          if (!want.background) {
            makeRoom();
          }
          fetch = Objects.requireNonNull(inFlight.covering(block));
          outcome = Outcome.BEGUN;
        } else if (outcome == Outcome.READY) {
          outcome = Outcome.JOINED;
        }
        long partEnd = Math.min(to, fetch.end);
        read.addPart();
        fetch.parts.add(new Fetch.Part(read, block, partEnd));
        if (!want.background && queue.raise(fetch)) {
          makeRoom();
        }
        block = partEnd;
      }
      assert inFlight.fits(queue);
      return outcome;
    } finally {
      lock.unlock();
    }
  }

  /** If all workers are busy and one of them with background work, that one is stopped. */
  @GuardedBy("lock")
  private void makeRoom() {
    if (!queue.demandIsStuck()) {
      return;
    }
    for (Fetch fetch : inFlight.all()) {
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
      long begun = queue.closed() ? 0 : planner.beginBackground(from, to);
      assert inFlight.fits(queue);
      return begun;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Begins background fetches for what is absent in a range, the rest of it when workers have come
   * so far.
   */
  void prefetch(long from, long to) {
    lock.lock();
    try {
      if (!queue.closed()) {
        planner.wish(from, to);
      }
      assert inFlight.fits(queue);
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

  /** See {@link FetchQueue#callsWorker}. */
  boolean callsWorker(int started) {
    lock.lock();
    try {
      return queue.callsWorker(started);
    } finally {
      lock.unlock();
    }
  }

  /** See {@link FetchQueue#lost}. */
  void workerIsLost() {
    lock.lock();
    try {
      queue.lost();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes the next fetch to run; waits for one.
   *
   * @param comes whether the worker was called and this is its first
   * @return null if the table is closed or nothing came in time: the worker ends
   */
  @Nullable Fetch take(long timeout, TimeUnit timeUnit, boolean comes) throws InterruptedException {
    lock.lock();
    try {
      if (!queue.closed()) {
        planner.beginWishes();
      }
      return queue.take(timeUnit.toNanos(timeout), comes);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes note of how many reads the source allows at once: one that was not there when the device
   * was opened says so later, and another one may say something else.
   *
   * @return whether more fetches may run now than before
   */
  boolean allow(int parallelism) {
    lock.lock();
    try {
      int before = queue.limit();
      int now = workers(parallelism);
      if (now != before) {
        queue.limit(now);
      }
      return now > before;
    } finally {
      lock.unlock();
    }
  }

  /** Whether a fetch that was taken may read the source; if not, it is queued again. */
  boolean mayRead(Fetch fetch) {
    lock.lock();
    try {
      boolean may = queue.mayRun(fetch);
      if (!may) {
        makeRoom(); // it may be demand, and what goes on is not
      }
      assert inFlight.fits(queue);
      return may;
    } finally {
      lock.unlock();
    }
  }

  /** How many fetches run at once where a source allows so many reads. */
  private static int workers(int parallelism) {
    return Math.max(1, Math.min(parallelism, MOST_FETCHES));
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
      inFlight.landed(fetch, landed);
      for (Iterator<Fetch.Part> parts = fetch.parts.iterator(); parts.hasNext(); ) {
        Fetch.Part part = parts.next();
        if (part.from() < landed) {
          touched.add(part);
          if (part.to() <= landed) {
            parts.remove();
          }
        }
      }
      assert inFlight.fits(queue);
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
      inFlight.remove(fetch);
      queue.ended(fetch);
      List<Fetch.Part> left = fetch.parts;
      fetch.parts = new ArrayList<>();
      assert inFlight.fits(queue);
      return left;
    } finally {
      lock.unlock();
    }
  }

  /** Whether less comes within a wait for the source than a miss would reach for; no lock. */
  boolean linkIsSlow() {
    return unit.limited();
  }

  /** Takes note of how long the source took for blocks of a fetch: to the first bytes, and on. */
  void took(Fetch fetch, long blocks, long waitNanos, long restNanos) {
    lock.lock();
    try {
      if (!fetch.background) {
        unit.took(blocks, waitNanos, restNanos);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Makes a block absent whose bytes turned out wrong, unless it is being fetched already.
   *
   * <p>One that is ready may be within a fetch all the same, that goes over it for what is behind.
   * Such a fetch stores it again if it comes by, or did so a moment ago, which is then for nothing.
   */
  boolean heal(long block, boolean evenIfReady) {
    lock.lock();
    try {
      boolean isReady = store.isReady(block, block + 1);
      if (queue.closed()) {
        return false; // what cannot be read is so by the device's end
      } else if (isReady
          ? !evenIfReady
          : inFlight.covering(block) != null || !store.present().get(block)) {
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

  /** Forgets what was to be prefetched and is not in flight yet. */
  void dropWishes() {
    lock.lock();
    try {
      planner.dropWishes();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Makes blocks absent for the evictor, those that are not, and keeps them from being fetched
   * until {@link #evicted}.
   *
   * @return false if one of them is in flight or the table is closed; nothing was done
   */
  boolean evict(long from, long to) {
    lock.lock();
    try {
      if (queue.closed() || inFlight.next(from, to) < to || inFlight.covering(from) != null) {
        return false;
      }
      evicting.begin(from, to);
      if (store.present().nextSet(from, to) < to || store.nextReady(from, to) < to) {
        store.clear(from, to);
      }
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
      for (Fetch fetch : inFlight.all()) {
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
}
