/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockDevice;
import io.uloop.BlockSource;
import io.uloop.ByteRange;
import io.uloop.DeviceCapabilities;
import io.uloop.DeviceStatistics;
import io.uloop.Extent;
import io.uloop.ReadCompletion;
import io.uloop.SourceIdentity;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A read-only device over a source, with each block fetched once and kept in a pair of files.
 *
 * <p>Made with a {@link Builder}. What is present is answered on the reader's thread; what is not
 * is fetched by the device's own threads, as many as the source allows, and each reader is answered
 * as soon as its own bytes have come. See the package description for the way of a read and {@code
 * docs/architecture.md} for threads and locks.
 *
 * <p>The source misbehaving or gone never harms what is present, and the cache volume full or
 * broken never harms a read that the source can answer.
 *
 * <p><b>Threads:</b> safe for any, virtual ones included.
 *
 * <p><b>Ownership:</b> the device owns its source and its files; {@link #close} ends them.
 *
 * @since 0.1
 */
public final class CachedDevice implements BlockDevice {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final long CLOSE_SECONDS = 10;

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
  private final DeviceCapabilities capabilities;
  private final String name;
  private final boolean releaseSourceWhenComplete;
  private final AtomicBoolean closing = new AtomicBoolean();
  private volatile @Nullable Thread closer;
  private final CountDownLatch closeDone = new CountDownLatch(1);
  private volatile boolean closed;

  private CachedDevice(Builder settings, PairFiles files, @Nullable BlockSource open)
      throws IOException {
    this.files = files;
    this.geometry = files.geometry();
    this.name = String.valueOf(files.paths().cacheFile().getFileName());
    this.source = new SourceSlot(open, settings.offline ? null : settings.opener, files.identity());
    this.releaseSourceWhenComplete = settings.releaseSourceWhenComplete;
    this.committer = new Committer(files, settings.commitInterval.toNanos(), name, this::committed);
    this.store = new BlockStore(files, committer::markDirty);
    CacheHealth health = new CacheHealth(files.paths().cacheFile());
    // A source that is not open yet is taken to be like most.
    int parallelism = open == null ? Builder.USUAL_PARALLELISM : open.parallelism();
    int fetchBytes = open == null ? Builder.USUAL_FETCH_BYTES : open.preferredFetchBytes();
    long unit = Math.max(1, settings.fetchBytes / geometry.blockSizeBytes());
    long most = Math.max(unit, fetchBytes / geometry.blockSizeBytes());
    // Neither a miss nor a reader that goes forward may push a good part of a bounded cache out.
    long farthest =
        Math.max(
            unit,
            Math.min(Builder.MOST_REACH_BYTES, settings.maxCacheBytes / 16)
                / geometry.blockSizeBytes());
    long farthestAhead = Math.min(settings.readAheadMaxBytes, settings.maxCacheBytes / 8);
    FetchUnit fetchUnit = new FetchUnit(unit, farthest, geometry.blocks(), counters);
    this.table =
        new FetchTable(
            store,
            new FetchTable.Shape(fetchUnit, most, most, unit / 4),
            Math.max(1, Math.min(parallelism, Builder.MOST_FETCHES)));
    ReaderGate gate = null;
    SendingRanges sending = null;
    if (settings.maxCacheBytes == Long.MAX_VALUE) {
      this.evictor = null;
    } else {
      gate = new ReaderGate();
      sending = new SendingRanges();
      this.evictor =
          new Evictor(store, table, gate, sending, counters, settings.maxCacheBytes, unit);
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
            settings.sourceWait.toNanos());
    this.fetcher = new Fetcher(table, () -> new FetchRun(table, store, counters, misses), name);
    ReadAhead readAhead =
        new ReadAhead(geometry.sizeBytes(), farthestAhead, misses::beginBackground);
    this.hot = settings.hotTierBytes == 0 ? null : new HotTier(geometry, settings.hotTierBytes);
    this.hits = new HitPath(store, table, counters, readAhead, health, hot, gate, evictor, sending);
    misses.connect(fetcher, hits, readAhead);
    this.capabilities =
        new DeviceCapabilities(
            false,
            false,
            false,
            false,
            open != null && open.rotational(),
            1,
            Math.max(4096, geometry.blockSizeBytes()));
  }

  /**
   * Begins to configure a device over an open source.
   *
   * @param source where missing bytes come from; the device will close it, also if opening fails
   * @return a new builder
   */
  public static Builder builder(BlockSource source) {
    return new Builder(Objects.requireNonNull(source, "source"), null);
  }

  /**
   * Begins to configure a device whose source may be unreachable at first.
   *
   * <p>If it cannot be reached at open, and the pair says what it is, the device opens all the
   * same: what is present is served, and each miss tries to open the source again.
   *
   * @param opener opens the source, once at open and again when a miss finds it missing
   * @return a new builder
   */
  public static Builder builder(SourceOpener opener) {
    return new Builder(null, Objects.requireNonNull(opener, "opener"));
  }

  @Override
  public long size() {
    return geometry.sizeBytes();
  }

  @Override
  public DeviceCapabilities capabilities() {
    return capabilities;
  }

  /**
   * Gives the unit of presence.
   *
   * @return bytes, a power of two
   */
  public int blockSizeBytes() {
    return geometry.blockSizeBytes();
  }

  /**
   * Tells what the device was made from.
   *
   * @return the source's identity, as the pair keeps it
   */
  public SourceIdentity identity() {
    return files.identity();
  }

  /**
   * Tells whether every block is present, so that the source is no longer needed.
   *
   * @return whether the cache file is the whole image
   */
  public boolean isComplete() {
    return store.complete();
  }

  @Override
  public boolean tryRead(long offset, ByteBuffer dst) throws IOException {
    check(offset, dst.remaining());
    return !dst.hasRemaining() || hits.read(offset, dst);
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    if (tryRead(offset, dst)) {
      return;
    }
    CountDownLatch done = new CountDownLatch(1);
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    PendingRead read =
        new PendingRead(
            offset,
            dst,
            cause -> {
              failure.set(cause);
              done.countDown();
            });
    misses.submit(read);
    try {
      done.await();
    } catch (InterruptedException e) {
      if (read.giveUp()) {
        Thread.currentThread().interrupt();
        InterruptedIOException interrupted =
            new InterruptedIOException("interrupted while reading at " + offset);
        interrupted.initCause(e);
        throw interrupted;
      }
      awaitUninterruptibly(done);
      Thread.currentThread().interrupt();
    }
    Throwable cause = failure.get();
    if (cause != null) {
      throw asThrown(cause);
    }
  }

  private static void awaitUninterruptibly(CountDownLatch done) {
    while (true) {
      try {
        done.await();
        return;
      } catch (InterruptedException e) {
        // The read is done already; its completion runs right now.
      }
    }
  }

  private static IOException asThrown(Throwable cause) throws IOException {
    if (cause instanceof UloopException known) {
      return known.copy();
    } else if (cause instanceof ClosedChannelException) {
      return new ClosedChannelException();
    } else if (cause instanceof IOException io) {
      return new IOException(io.getMessage(), io);
    } else if (cause instanceof Error error) {
      throw error;
    }
    throw new IllegalStateException(cause);
  }

  @Override
  public void readAsync(long offset, ByteBuffer dst, ReadCompletion completion) {
    PendingRead read;
    try {
      read = tryRead(offset, dst) ? null : new PendingRead(offset, dst, completion);
    } catch (IOException | RuntimeException e) {
      completion.done(e);
      return;
    }
    if (read == null) {
      completion.done(null);
    } else {
      misses.submit(read);
    }
  }

  @Override
  public long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    check(offset, length);
    return hits.transferTo(offset, length, target);
  }

  @Override
  public long presentBytes(long offset, long length) {
    geometry.check(offset, length);
    return closed ? 0 : hits.presentBytes(offset, length);
  }

  @Override
  public List<Extent> extents(long offset, long length) throws IOException {
    check(offset, length);
    return hits.extents(offset, length);
  }

  /**
   * Finds the next run of present blocks, by the bitmap alone: their data is not looked at.
   *
   * @param offset where to begin, up to the size
   * @return the run from there on, cut at the end of the image; empty if there is none
   * @throws IndexOutOfBoundsException if the offset is not within the device
   */
  public Optional<ByteRange> nextPresent(long offset) {
    geometry.check(offset, 0);
    long blocks = geometry.blocks();
    // At the end of the image the last block, if it is cut, may still have its bit set.
    long from = store.present().nextSet(geometry.blockOf(offset), blocks);
    if (offset == geometry.sizeBytes() || from == blocks) {
      return Optional.empty();
    }
    long to = store.present().nextClear(from, blocks);
    return Optional.of(
        new ByteRange(Math.max(offset, geometry.startOf(from)), geometry.endBefore(to)));
  }

  @Override
  public void zeroesTold(long offset, long length) {
    geometry.check(offset, length);
    if (length > 0 && !closed) {
      hits.hit(offset, length);
    }
  }

  @Override
  public void prefetch(long offset, long length) {
    geometry.check(offset, length);
    misses.beginBackground(offset, offset + length);
  }

  /**
   * Begins to fetch all that is absent, in the background and after all that readers wait for.
   *
   * @param bytesPerSecond the most to fetch per second; {@link Long#MAX_VALUE} for no limit
   * @param fetches how many fetches to run at once, one or more
   * @return the work under way; it ends by itself, when cancelled, or with the device
   * @throws IllegalArgumentException if a number is less than one
   */
  public BackgroundFill fill(long bytesPerSecond, int fetches) {
    BackgroundFill fill =
        new BackgroundFill(geometry, store, misses, bytesPerSecond, fetches, () -> closed);
    fill.start("uloop-fill-" + name);
    return fill;
  }

  /**
   * What a verification came to.
   *
   * @param blocks how many present blocks were looked at
   * @param wrong how many of them did not fit their checksum; they are absent now
   * @since 0.1
   */
  public record Verification(long blocks, long wrong) {}

  /**
   * Holds every present block against its checksum; a wrong one is made absent and logged.
   *
   * <p>Reads the whole cache file; meant for an operator's check. Without checksums it finds
   * nothing wrong.
   *
   * @return the counts
   * @throws ClosedChannelException if the device is or gets closed
   */
  public Verification verify() throws IOException {
    check(0, 0);
    Verification result = hits.verifyAll(() -> closed);
    check(0, 0);
    return result;
  }

  @Override
  public void flush() throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    committer.flush();
  }

  @Override
  public DeviceStatistics statistics() {
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
        Math.min(geometry.sizeBytes(), store.presentBlocks() * geometry.blockSizeBytes()));
  }

  /** After a commit that went well: a full cache is cut back, a complete image needs no source. */
  private void committed(Evictor.Commit commit) throws IOException {
    if (evictor != null) {
      evictor.run(commit);
    } else if (releaseSourceWhenComplete && store.complete() && source.canReopen() && !closed) {
      if (!store.isReady(0, geometry.blocks())) {
        return; // a block that is yet to be verified may have to be fetched again
      }
      LOG.log(Level.INFO, "{0}: complete; the source is let go", files.paths().cacheFile());
      source.release();
    }
  }

  private void check(long offset, long length) throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    geometry.check(offset, length);
  }

  /** Names the device by its source, for messages. */
  @Override
  public String toString() {
    return "CachedDevice[" + files.identity().uri() + " size=" + size() + "]";
  }

  @Override
  public void close() throws IOException {
    if (!closing.compareAndSet(false, true)) {
      // A completion that runs in close() may close once more; it must not wait for itself.
      if (closer != Thread.currentThread()) {
        awaitUninterruptibly(closeDone);
      }
      return;
    }
    closer = Thread.currentThread();
    List<IOException> failures = new ArrayList<>();
    try {
      closed = true;
      misses.close();
      FetchTable.Closing left = table.close();
      for (Fetch.Part part : left.parts()) {
        part.read().fail(new ClosedChannelException());
      }
      left.later().forEach(Runnable::run);
      left.aborts().forEach(Runnable::run);
      attempt(failures, source::close);
      attempt(failures, () -> fetcher.awaitEnd(CLOSE_SECONDS, TimeUnit.SECONDS));
      attempt(failures, committer::flush);
      committer.close();
      if (hot != null) {
        hot.close();
      }
      if (failures.isEmpty()) {
        seal();
      }
      store.data().close();
      attempt(failures, files::close);
    } finally {
      closer = null;
      closeDone.countDown();
    }
    if (!failures.isEmpty()) {
      IOException first = failures.get(0);
      failures.stream().skip(1).forEach(first::addSuppressed);
      throw first;
    }
  }

  /** A pair that is not sealed is as after a crash, which is no reason for a close to fail. */
  private void seal() {
    try {
      files.sealBitmap();
    } catch (IOException e) {
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
    }
  }

  /**
   * Collects what a device is made with; not safe for use by several threads.
   *
   * @since 0.1
   */
  public static final class Builder {
    private final @Nullable BlockSource given;
    private final @Nullable SourceOpener opener;
    private @Nullable CachePair pair;
    private int blockSizeBytes;
    private int fetchBytes = 64 * 1024;
    private int readAheadMaxBytes = 16 << 20;
    private long hotTierBytes = 64 << 20;
    private long maxCacheBytes = Long.MAX_VALUE;
    private boolean checksums = true;
    private boolean offline;
    private boolean releaseSourceWhenComplete = true;
    private Duration commitInterval = Duration.ofMillis(900);
    private Duration sourceWait = Duration.ZERO;
    private WhenDifferent whenDifferent = WhenDifferent.FAIL;
    private Storage storage = new LocalStorage();

    static final int USUAL_PARALLELISM = 8;

    /** How far one miss may reach, where readers have shown that they gain from it. */
    static final int MOST_REACH_BYTES = 2 << 20;

    static final int USUAL_FETCH_BYTES = 1 << 20;

    /** More threads than this help nobody. */
    static final int MOST_FETCHES = 64;

    private Builder(@Nullable BlockSource given, @Nullable SourceOpener opener) {
      this.given = given;
      this.opener = opener;
    }

    /**
     * Sets the files; there is no default.
     *
     * @param pair cache file and bitmap file
     * @return this
     */
    public Builder pair(CachePair pair) {
      this.pair = Objects.requireNonNull(pair, "pair");
      return this;
    }

    /**
     * Sets the unit of presence; what the pair has, else 4096, unless set.
     *
     * @param blockSizeBytes a power of two from 512 to 1 MiB
     * @return this
     */
    public Builder blockSizeBytes(int blockSizeBytes) {
      new Geometry(0, blockSizeBytes);
      this.blockSizeBytes = blockSizeBytes;
      return this;
    }

    /**
     * Sets the unit that is fetched for a small miss; see {@code docs/performance.md} for the
     * default.
     *
     * @param fetchBytes a power of two, 4096 or more
     * @return this
     */
    public Builder fetchBytes(int fetchBytes) {
      if (Integer.bitCount(fetchBytes) != 1 || fetchBytes < 4096) {
        throw new IllegalArgumentException("not a fetch unit: fetchBytes=" + fetchBytes);
      }
      this.fetchBytes = fetchBytes;
      return this;
    }

    /**
     * Sets how far to fetch ahead of a sequential reader; 16 MiB unless set, 0 for not at all.
     *
     * @param readAheadMaxBytes bytes
     * @return this
     */
    public Builder readAheadMaxBytes(int readAheadMaxBytes) {
      if (readAheadMaxBytes < 0) {
        throw new IllegalArgumentException("negative: readAheadMaxBytes=" + readAheadMaxBytes);
      }
      this.readAheadMaxBytes = readAheadMaxBytes;
      return this;
    }

    /**
     * Bounds the memory that holds copies of the blocks read most; 64 MiB unless set, 0 for none.
     *
     * @param hotTierBytes bytes of direct memory; taken only as blocks turn out hot
     * @return this
     */
    public Builder hotTierBytes(long hotTierBytes) {
      if (hotTierBytes < 0) {
        throw new IllegalArgumentException("negative: hotTierBytes=" + hotTierBytes);
      }
      this.hotTierBytes = hotTierBytes;
      return this;
    }

    /**
     * Bounds the bytes that the cache file occupies; unbounded unless set.
     *
     * <p>Least used blocks make way for new ones. Needs a file system that can punch holes.
     *
     * @param maxCacheBytes allocated bytes, 1 MiB or more
     * @return this
     */
    public Builder maxCacheBytes(long maxCacheBytes) {
      if (maxCacheBytes < 1 << 20) {
        throw new IllegalArgumentException("less than 1 MiB: maxCacheBytes=" + maxCacheBytes);
      }
      this.maxCacheBytes = maxCacheBytes;
      return this;
    }

    /**
     * Sets whether each block has a checksum, verified on its first read after an open.
     *
     * @param checksums true unless set
     * @return this
     */
    public Builder checksums(boolean checksums) {
      this.checksums = checksums;
      return this;
    }

    /**
     * Sets what to do with a pair that was made from something else.
     *
     * @param whenDifferent {@link WhenDifferent#FAIL} unless set
     * @return this
     */
    public Builder whenDifferent(WhenDifferent whenDifferent) {
      this.whenDifferent = Objects.requireNonNull(whenDifferent, "whenDifferent");
      return this;
    }

    /**
     * Sets whether to do without the source: what is present is served, each miss fails.
     *
     * @param offline false unless set
     * @return this
     */
    public Builder offline(boolean offline) {
      this.offline = offline;
      return this;
    }

    /**
     * Sets how long a miss waits for a source that cannot be opened; not at all unless set.
     *
     * <p>Only with a {@link SourceOpener}. A source that is open has a timeout of its own.
     *
     * @param wait zero or more
     * @return this
     */
    public Builder sourceWait(Duration wait) {
      if (wait.isNegative()) {
        throw new IllegalArgumentException("negative: wait=" + wait);
      }
      this.sourceWait = wait;
      return this;
    }

    /**
     * Sets whether the source is closed when the last block is in.
     *
     * <p>Only one that came from a {@link SourceOpener}: should a block be lost later (a bad sector
     * under the cache file), the source is opened again. One that was given open stays open.
     *
     * @param release true unless set
     * @return this
     */
    public Builder releaseSourceWhenComplete(boolean release) {
      this.releaseSourceWhenComplete = release;
      return this;
    }

    Builder storage(Storage storage) {
      this.storage = storage;
      return this;
    }

    Builder commitInterval(Duration commitInterval) {
      this.commitInterval = commitInterval;
      return this;
    }

    /**
     * Opens the device.
     *
     * @return the device; the caller closes it
     * @throws io.uloop.CacheInUseException if another device or process has the pair
     * @throws io.uloop.CacheMismatchException if the pair is of another source or generation
     * @throws io.uloop.CacheFormatException if a file of the pair is damaged or too new
     * @throws io.uloop.CacheIoException if a file of the pair cannot be opened or made
     * @throws SourceUnavailableException if the source cannot be reached and the pair does not know
     *     it
     * @throws IOException if the source cannot be opened otherwise
     * @throws IllegalStateException if there is no pair
     */
    public CachedDevice open() throws IOException {
      CachePair paths = pair;
      if (paths == null) {
        throw new IllegalStateException("no pair of files was given");
      }
      PairOpener opener = new PairOpener(storage, paths, checksums, whenDifferent);
      BlockSource open = given;
      PairFiles files = null;
      CachedDevice device = null;
      try {
        if (open == null && !offline) {
          open = openIfReachable(opener);
        }
        files = opener.open(open == null ? null : open.identity(), blockSizeBytes);
        device = new CachedDevice(this, files, offline ? null : open);
        device.committer.start(device.store);
        return device;
      } finally {
        if (device == null) {
          try (PairFiles f = files;
              BlockSource s = open) {
            LOG.log(Level.DEBUG, "open failed; closing {0} and {1}", f, s);
          }
        }
      }
    }

    private @Nullable BlockSource openIfReachable(PairOpener pairOpener) throws IOException {
      try {
        return Objects.requireNonNull(opener).open();
      } catch (SourceUnavailableException e) {
        if (pairOpener.sidecar() == null) {
          throw e;
        }
        LOG.log(Level.WARNING, "{0}; serving what is present", e.getMessage());
        return null;
      }
    }
  }
}
