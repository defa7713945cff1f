/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Keeps the cache file within a number of allocated bytes.
 *
 * <p>Use is noted per region (one bit, set by a read), and a hand goes round: a region that was
 * used since it last came by is passed over and its bit cleared, one that was not is evicted (the
 * CLOCK algorithm; Corbato, 1968). Above the high mark (95 % of the limit) regions are evicted down
 * to the low mark (80 %). At the limit itself nothing is stored until there is room: reads pass
 * through.
 *
 * <p>The order for a batch of regions:
 *
 * <ol>
 *   <li>bits cleared in memory, and the regions kept from being fetched ({@link FetchTable#evict});
 *   <li>bits cleared durably (a commit);
 *   <li>readers that might have seen the bits have left ({@link ReaderGate});
 *   <li>holes punched; the regions may be fetched again.
 * </ol>
 *
 * A crash after any step leaves at worst blocks without bits, and so does a punch that fails. The
 * bytes of such blocks count all the same: so the first time that there is something to do, and
 * when evicting did not help, whatever is absent is punched ({@link #sweep}).
 *
 * <p><b>Threads:</b> {@link #used}, {@link #takeRoom}, {@link #stored} and {@link #roomToFill} any;
 * {@link #run} the committer's only.
 */
final class Evictor {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final int MAX_BATCH = 1024;

  /** With less room than this by estimate, a fill has one look again. */
  private static final long LITTLE_ROOM = 4 << 20;

  /** So many blocks are kept from being fetched at most while they are swept. */
  private static final long MAX_SWEPT_BLOCKS = 1 << 18;

  /** A flush may wait for so many batches of a sweep. */
  private static final int SWEPT_BATCHES = 64;

  /** From the end of a sweep, or a failure, to the next. */
  private static final long SWEEP_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(3);

  private static final long NOT_SWEEPING = -1;

  /** What an eviction needs of the committer. */
  interface Commit {
    void run() throws IOException;
  }

  private final BlockStore store;
  private final FetchTable table;
  private final ReaderGate gate;
  private final Counters counters;
  private final long limitBytes;
  private final long regionBlocks;
  private final PagedBits recentlyUsed;

  /** An upper estimate: what was allocated at the last look, and all that was stored since. */
  private final AtomicLong allocated = new AtomicLong();

  /**
   * What is being stored just now, and so perhaps not yet allocated. Its monitor is held for what
   * changes both.
   */
  private final AtomicLong landing = new AtomicLong();

  /** The most bytes that did not fit since the last eviction; 0 if all did. */
  private final AtomicLong refused = new AtomicLong();

  private long hand;

  /** Where the sweep is, if one is under way. */
  private long sweepAt;

  private long sweepNotBefore = System.nanoTime();

  /** Whether the last eviction failed; it is said once. */
  private boolean failing;

  private volatile boolean closed;

  /**
   * Makes an evictor.
   *
   * @param limitBytes the most that the cache file may occupy
   * @param regionBlocks how many blocks are evicted together
   */
  Evictor(
      BlockStore store,
      FetchTable table,
      ReaderGate gate,
      Counters counters,
      long limitBytes,
      long regionBlocks)
      throws IOException {
    this.store = store;
    this.table = table;
    this.gate = gate;
    this.counters = counters;
    this.limitBytes = limitBytes;
    this.regionBlocks = regionBlocks;
    this.recentlyUsed =
        new PagedBits((store.geometry().blocks() + regionBlocks - 1) / regionBlocks);
    this.sweepAt = store.pristine() ? NOT_SWEEPING : 0;
    look();
  }

  /** Notes that blocks are read. */
  void used(long from, long to) {
    long first = from / regionBlocks;
    long end = (to - 1) / regionBlocks + 1;
    if (!recentlyUsed.all(first, end)) {
      recentlyUsed.set(first, end);
    }
  }

  /** Takes room for so many bytes, if there is some; {@link #stored} tells of their end. */
  boolean takeRoom(long bytes) {
    synchronized (landing) {
      if (allocated.get() + bytes > limitBytes) {
        refused.accumulateAndGet(bytes, Math::max);
        return false;
      }
      landing.addAndGet(bytes);
      allocated.addAndGet(bytes);
      return true;
    }
  }

  /** How many bytes more can be stored without evicting something for them. */
  long roomToFill() {
    try {
      // The estimate counts zeroes too, which take no room.
      if (highMark() - allocated.get() < LITTLE_ROOM) {
        look();
      }
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "no room is left, by estimate", e);
    }
    return Math.max(0, highMark() - allocated.get());
  }

  /** Brings the estimate down to what is allocated; never below, whatever is stored meanwhile. */
  private synchronized void look() throws IOException {
    long before;
    long coming;
    synchronized (landing) {
      before = allocated.get();
      coming = landing.get();
    }
    allocated.addAndGet(store.data().allocatedBytes() + coming - before);
  }

  /** Evicts no more; what is under way comes to its end. */
  void close() {
    closed = true;
  }

  /**
   * Notes that the storing of bytes for which room was taken has ended.
   *
   * @param written whether they are in the file, or may be; zeroes are not
   */
  void stored(long bytes, boolean written) {
    synchronized (landing) {
      landing.addAndGet(-bytes);
      if (!written) {
        allocated.addAndGet(-bytes);
      }
    }
  }

  private long highMark() {
    return limitBytes / 100 * 95;
  }

  private long lowMark() {
    // Under a small limit: so that what lands at once fits afterwards.
    long landing = Math.max(FetchRun.MAX_LAND_BYTES_BOUNDED, store.geometry().blockSizeBytes());
    return Math.max(0, Math.min(limitBytes / 100 * 80, limitBytes - 2 * landing));
  }

  boolean wanted() {
    return refused.get() > 0 || allocated.get() > highMark();
  }

  /**
   * Evicts down to the low mark, if the high mark is passed or something did not fit. A failure is
   * logged, and tried again with the next round.
   *
   * @param commit makes the cleared bits durable
   */
  void run(Commit commit) {
    if (closed || !wanted()) {
      return;
    }
    long missing = refused.getAndSet(0);
    try {
      cutBack(missing, commit);
    } catch (IOException e) {
      if (closed) {
        return; // the file, by a completion that ran here
      }
      refused.accumulateAndGet(Math.max(missing, 1), Math::max);
      sweepLater();
      LOG.log(failing ? Level.DEBUG : Level.WARNING, "eviction failed: {0}", e.getMessage());
      failing = true;
    }
  }

  private void cutBack(long missing, Commit commit) throws IOException {
    sweep(commit);
    look();
    long now = allocated.get();
    if (now <= highMark() && now + missing <= limitBytes) {
      return; // the estimate was too high
    }
    int fruitless = 0;
    while (allocated.get() > lowMark() && fruitless < 2 && !closed) {
      List<long[]> batch = choose(allocated.get() - lowMark());
      if (batch.isEmpty()) {
        fruitless++;
        continue;
      }
      evict(batch, commit);
      for (long[] region : batch) {
        counters.evictedBytes.add((region[1] - region[0]) * store.geometry().blockSizeBytes());
      }
      long before = allocated.get();
      look();
      fruitless = allocated.get() < before ? 0 : fruitless + 1;
    }
    // What was made absent otherwise, as its bytes were wrong, has bytes too.
    if (allocated.get() > lowMark() && sweepAt == NOT_SWEEPING) {
      sweepLater();
    }
  }

  private void sweepLater() {
    sweepAt = 0;
    sweepNotBefore = System.nanoTime() + SWEEP_PAUSE_NANOS;
  }

  /** Punches what is absent and not on its way; some of it, if that is much. */
  private void sweep(Commit commit) throws IOException {
    long blocks = store.geometry().blocks();
    for (int n = 0; n < SWEPT_BATCHES && !closed; n++) {
      if (sweepAt == NOT_SWEEPING || System.nanoTime() - sweepNotBefore < 0) {
        return;
      }
      List<long[]> batch = new ArrayList<>();
      long end = sweepAt;
      for (long left = MAX_SWEPT_BLOCKS; left > 0 && batch.size() < MAX_BATCH; ) {
        long from = store.present().nextClear(end, blocks);
        end = store.present().nextSet(from, Math.min(blocks, from + left));
        if (from == end) {
          break;
        }
        take(batch, from, end);
        left -= end - from;
      }
      sweepAt = end == blocks ? NOT_SWEEPING : end;
      evict(batch, commit);
    }
  }

  /** Takes a run that is absent, or what of it is not on its way. */
  private void take(List<long[]> batch, long from, long to) {
    if (table.evict(from, to)) {
      batch.add(new long[] {from, to});
    } else if (to - from > regionBlocks && !closed) {
      long middle = from + (to - from) / 2;
      take(batch, from, middle);
      take(batch, middle, to);
    }
  }

  /** Takes regions for about so many bytes, as the hand finds them, and makes them absent. */
  private List<long[]> choose(long bytes) {
    List<long[]> batch = new ArrayList<>();
    Geometry geometry = store.geometry();
    long blocks = geometry.blocks();
    long chosen = 0;
    // Twice round: the first time may do no more than clear the marks of use.
    for (int ends = 0; chosen < bytes && batch.size() < MAX_BATCH && ends < 3 && !closed; ) {
      long present = store.present().nextSet(Math.min(hand, blocks), blocks);
      if (present == blocks) {
        hand = 0;
        ends++;
        continue;
      }
      long region = present / regionBlocks;
      long from = region * regionBlocks;
      long to = Math.min(blocks, from + regionBlocks);
      hand = to;
      if (recentlyUsed.get(region)) {
        recentlyUsed.clear(region, region + 1);
      } else if (table.evict(from, to)) {
        batch.add(new long[] {from, to});
        chosen += (to - from) * geometry.blockSizeBytes();
      }
    }
    return batch;
  }

  private void evict(List<long[]> batch, Commit commit) throws IOException {
    if (batch.isEmpty()) {
      return;
    }
    Geometry geometry = store.geometry();
    try {
      commit.run();
      gate.awaitReaders();
      for (long[] region : batch) {
        long start = geometry.startOf(region[0]);
        long length = geometry.startOf(region[1]) - start;
        store.data().punch(start, length);
      }
      failing = false;
    } finally {
      // After a failure too: the blocks are absent, their bytes still there, which harms nobody.
      for (long[] region : batch) {
        for (Runnable later : table.evicted(region[0])) {
          try {
            later.run();
          } catch (RuntimeException | Error e) {
            LOG.log(Level.WARNING, "a read that waited for an eviction failed", e);
          }
        }
      }
    }
  }
}
