/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import io.uloop.DeviceStatistics;
import io.uloop.SourceIdentity;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * The parts of a {@link CachedDevice}: makes them from its settings, knows how they hang together,
 * and ends them in order.
 *
 * <p><b>Threads:</b> safe for any. <b>Ownership:</b> of the files and the source.
 */
final class Engine {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final long CLOSE_SECONDS = 10;

  private static final int USUAL_PARALLELISM = 8;

  /** How far one miss may reach, where readers have shown that they gain from it. */
  private static final int MOST_REACH_BYTES = 8 << 20;

  private static final int USUAL_FETCH_BYTES = 1 << 20;

  private final PairFiles files;
  private final Geometry geometry;
  private final SourceSlot source;
  private final Counters counters = new Counters();
  private final Committer committer;
  private final BlockStore store;
  private final FetchTable table;
  private final Fetcher fetcher;
  private final HitPath hits;
  private final MissPath misses;
  private final @Nullable HotTier hot;
  private final @Nullable Evictor evictor;
  private final String name;
  private final boolean releaseSourceWhenComplete;
  private final boolean rotational;
  private final AtomicBoolean closing = new AtomicBoolean();
  private volatile @Nullable Thread closer;

  /** Those that wait in {@link #close} for the one that closes, which must not wait for them. */
  private final Set<Thread> closeWaiters = ConcurrentHashMap.newKeySet();

  private final CountDownLatch closeDone = new CountDownLatch(1);
  private volatile boolean closed;

  private Engine(CachedDevice.Builder settings, PairFiles files, @Nullable BlockSource open)
      throws IOException {
    this.files = files;
    this.geometry = files.geometry();
    this.name = String.valueOf(files.paths().cacheFile().getFileName());
    this.source =
        new SourceSlot(
            open, settings.opener, files.identity(), settings.offline, this::sourceAllows);
    this.releaseSourceWhenComplete = settings.releaseSourceWhenComplete;
    this.rotational = open != null && open.rotational();
    this.committer =
        new Committer(
            files, settings.commitInterval.toNanos(), settings.commitBytes, name, this::committed);
    this.hot = settings.hotTierBytes == 0 ? null : new HotTier(geometry, settings.hotTierBytes);
    this.store = new BlockStore(files, hot, committer::markDirty);
    CacheHealth health = new CacheHealth(files.paths().cacheFile());
    // A source that is not open yet is taken to be like most.
    int parallelism = open == null ? USUAL_PARALLELISM : open.parallelism();
    int fetchBytes = open == null ? USUAL_FETCH_BYTES : open.preferredFetchBytes();
    long unit = Math.max(1, settings.fetchBytes / geometry.blockSizeBytes());
    long most = Math.max(unit, fetchBytes / geometry.blockSizeBytes());
    // Neither a miss nor a reader that goes forward may push a good part of a bounded cache out.
    long farthest =
        Math.max(
            unit,
            Math.min(MOST_REACH_BYTES, settings.maxCacheBytes / 16) / geometry.blockSizeBytes());
    long farthestAhead = Math.min(settings.readAheadMaxBytes, settings.maxCacheBytes / 8);
    FetchUnit fetchUnit = new FetchUnit(unit, farthest, store.present(), counters);
    this.table =
        new FetchTable(store, new FetchPlanner.Shape(fetchUnit, most, most, unit / 4), parallelism);
    ReaderGate gate = null;
    if (settings.maxCacheBytes == Long.MAX_VALUE) {
      this.evictor = null;
    } else {
      gate = new ReaderGate();
      this.evictor = new Evictor(store, table, gate, counters, settings.maxCacheBytes, unit);
    }
    this.misses =
        new MissPath(
            store,
            table,
            counters,
            source,
            health,
            committer,
            evictor,
            TimeUnit.NANOSECONDS.convert(settings.sourceWait)); // no more than fits
    int mostLanding = evictor == null ? FetchRun.MAX_LAND_BYTES : FetchRun.MAX_LAND_BYTES_BOUNDED;
    this.fetcher =
        new Fetcher(
            table,
            () -> new FetchRun(table, store, counters, misses, mostLanding),
            Fetcher.threads(name));
    ReadAhead readAhead =
        new ReadAhead(
            geometry.sizeBytes(),
            farthestAhead,
            misses::beginBackground,
            table::linkIsSlow,
            System::nanoTime);
    this.hits = new HitPath(store, table, counters, readAhead, health, hot, gate, evictor);
    misses.connect(fetcher, hits, readAhead);
  }

  /**
   * Opens source and pair and makes all parts; see {@link CachedDevice.Builder#open}. If that
   * fails, both are closed.
   */
  static Engine open(CachedDevice.Builder settings, CachePair paths) throws IOException {
    PairOpener pair =
        new PairOpener(settings.storage, paths, settings.checksums, settings.whenDifferent);
    BlockSource open = settings.given;
    PairFiles files = null;
    try {
      if (open == null && !settings.offline) {
        open = openIfReachable(Objects.requireNonNull(settings.opener), pair);
      }
      files = pair.open(open == null ? null : open.identity(), settings.blockSizeBytes);
      Engine made = new Engine(settings, files, open);
      made.committer.start(made.store);
      if (made.evictor != null && made.evictor.wanted()) {
        made.committer.hurry(); // the limit may be smaller than at the last open
      }
      return made;
    } catch (Throwable e) {
      SourceSlot.closeAfter(files, e);
      SourceSlot.closeAfter(open, e);
      throw e;
    }
  }

  private static @Nullable BlockSource openIfReachable(SourceOpener opener, PairOpener pair)
      throws IOException {
    try {
      return opener.open();
    } catch (SourceUnavailableException e) {
      if (pair.sidecar() == null) {
        throw e;
      }
      LOG.log(Level.WARNING, "{0}; serving what is present", e.getMessage());
      return null;
    }
  }

  private void sourceAllows(int parallelism) {
    misses.sourceAllows(parallelism);
  }

  boolean rotational() {
    return rotational;
  }

  Geometry geometry() {
    return geometry;
  }

  SourceIdentity identity() {
    return files.identity();
  }

  BlockStore store() {
    return store;
  }

  HitPath hits() {
    return hits;
  }

  MissPath misses() {
    return misses;
  }

  /** Gives the name for threads. */
  String name() {
    return name;
  }

  boolean closed() {
    return closed;
  }

  void flush() throws IOException {
    committer.flush();
  }

  DeviceStatistics statistics() {
    long hits = counters.hits.hits();
    long misses = counters.misses.sum();
    long joins = counters.joins.sum();
    return new DeviceStatistics(
        hits + misses + joins,
        counters.hits.bytes() + counters.bytesWaitedFor.sum(),
        hits,
        misses,
        joins,
        counters.fetches.sum(),
        counters.bytesFetched.sum(),
        counters.fetchFailures.sum(),
        counters.readAheadBytes.sum(),
        counters.readAheadUsedBytes.sum(),
        counters.evictedBytes.sum(),
        counters.passThroughBytes.sum(),
        counters.healedBlocks.sum(),
        presentBytes());
  }

  private long presentBytes() {
    long last = geometry.blocks() - 1;
    long bytes = store.presentBlocks() * geometry.blockSizeBytes();
    boolean cut = last >= 0 && store.present().get(last);
    // A bit may be set a moment before it is counted.
    return cut ? Math.max(0, bytes - (geometry.cacheFileBytes() - geometry.sizeBytes())) : bytes;
  }

  /** After a commit that went well: a full cache is cut back, a complete image needs no source. */
  private void committed(Evictor.Commit commit) {
    if (evictor != null) {
      evictor.run(commit);
    } else if (releaseSourceWhenComplete && store.complete() && source.canReopen() && !closed) {
      if (!store.isReady(0, geometry.blocks())) {
        return; // a block that is yet to be verified may have to be fetched again
      }
      LOG.log(Level.INFO, "{0}: complete; the source is let go", files.paths().cacheFile());
      try {
        source.release();
      } catch (IOException e) {
        LOG.log(Level.WARNING, "{0}: {1}", files.paths().cacheFile(), e.getMessage());
      }
    }
  }

  /** Ends everything, in order; what waits fails. Later calls wait for the first. */
  void close() throws IOException {
    if (!closing.compareAndSet(false, true)) {
      // A completion that runs in close() may close once more; it must not wait for itself. Nor
      // must one that runs on the committer's thread, for which the first waits.
      if (closer != Thread.currentThread() && !committer.isOwn(Thread.currentThread())) {
        closeWaiters.add(Thread.currentThread());
        try {
          BlockingRead.awaitUninterruptibly(closeDone);
        } finally {
          closeWaiters.remove(Thread.currentThread());
        }
      }
      return;
    }
    closer = Thread.currentThread();
    List<IOException> failures = new ArrayList<>();
    try {
      closed = true;
      misses.close();
      if (evictor != null) {
        evictor.close();
      }
      FetchTable.Closing left = table.close();
      for (Fetch.Part part : left.parts()) {
        part.read().fail(new ClosedChannelException());
      }
      left.later().forEach(later -> attempt(failures, later::run));
      left.aborts().forEach(abort -> attempt(failures, abort::run));
      attempt(failures, source::close);
      // One that is late stores nothing any more, so what is there is as durable as ever.
      if (!fetcher.awaitEnd(CLOSE_SECONDS, TimeUnit.SECONDS, this::storesNoMore)) {
        LOG.log(
            Level.WARNING,
            "{0}: fetches did not end within {1} s; {2} is not waited for",
            files.paths().cacheFile(),
            CLOSE_SECONDS,
            source.identity().uri());
      }
      attempt(failures, committer::flush);
      committer.close();
      if (hot != null) {
        hot.close();
      }
      if (failures.isEmpty()) {
        seal();
      }
    } finally {
      try {
        store.data().close();
        attempt(failures, files::close);
      } finally {
        closer = null;
        closeDone.countDown();
      }
    }
    if (!failures.isEmpty()) {
      IOException first = failures.get(0);
      failures.stream().skip(1).forEach(first::addSuppressed);
      throw first;
    }
  }

  /**
   * Tells whether a worker need not be waited for: its source opens, or its completion closes; or
   * that of a thread of the source's, for which it waits.
   */
  private boolean storesNoMore(Thread worker) {
    Thread giver = misses.giverTo(worker);
    return source.isOpening(worker)
        || closeWaiters.contains(worker)
        || (giver != null && (giver == Thread.currentThread() || closeWaiters.contains(giver)));
  }

  /** A pair that is not sealed is as after a crash, which is no reason for a close to fail. */
  private void seal() {
    try {
      files.sealBitmap();
    } catch (IOException | OutOfMemoryError e) {
      LOG.log(Level.WARNING, "{0}; the pair is left as after a crash", e.getMessage());
    }
  }

  private interface Step {
    void run() throws IOException;
  }

  private static void attempt(List<IOException> failures, Step step) {
    try {
      step.run();
    } catch (IOException e) {
      failures.add(e);
    } catch (Throwable e) { // a source's: the rest is to be closed all the same
      failures.add(new IOException("close failed: " + e, e));
    }
  }
}
