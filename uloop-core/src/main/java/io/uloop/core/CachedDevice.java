/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockDevice;
import io.uloop.BlockSource;
import io.uloop.ByteRange;
import io.uloop.DeviceCapabilities;
import io.uloop.DeviceStatistics;
import io.uloop.Extent;
import io.uloop.ReadCompletion;
import io.uloop.SourceChangedException;
import io.uloop.SourceIdentity;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
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
 * docs/concurrency.md} for threads and locks.
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

  /** Longer reads are well served by the page cache. */
  private static final int HOT_READ_BYTES = 16 * 1024;

  /** How long a failing cache volume is left alone before it is tried again. */
  private static final long DEGRADED_NANOS = TimeUnit.SECONDS.toNanos(2);

  private final PairFiles files;
  private final Geometry geometry;
  private final SourceSlot source;
  private final Counters counters = new Counters();
  private final Committer committer;
  private final BlockStore store;
  private final FetchTable table;
  private final Fetcher fetcher;
  private final ReadAhead readAhead;
  private final PagedBits unread;
  private final DeviceCapabilities capabilities;

  /** Null if it is off. */
  private final @Nullable HotTier hot;

  /** Both null unless the cache is bounded. */
  private final @Nullable ReaderGate gate;

  private final @Nullable Evictor evictor;
  private final boolean releaseSourceWhenComplete;
  private final AtomicBoolean closing = new AtomicBoolean();
  private final CountDownLatch closeDone = new CountDownLatch(1);
  private volatile boolean closed;
  private volatile boolean degraded;
  private volatile long degradedSince;

  private CachedDevice(Builder builder, PairFiles files, @Nullable BlockSource open)
      throws IOException {
    this.files = files;
    this.geometry = files.geometry();
    this.source = new SourceSlot(open, builder.offline ? null : builder.opener, files.identity());
    this.releaseSourceWhenComplete = builder.releaseSourceWhenComplete;
    String name = name(files.paths());
    this.committer = new Committer(files, builder.commitInterval.toNanos(), name, this::committed);
    this.store = new BlockStore(files, committer::markDirty);
    int parallelism = open == null ? builder.parallelismIfUnknown() : open.parallelism();
    int preferred = open == null ? 1 << 20 : open.preferredFetchBytes();
    int workers = Math.max(1, Math.min(parallelism, builder.maxFetches));
    this.table = new FetchTable(store, shape(builder, preferred), workers);
    this.hot = builder.hotTierBytes == 0 ? null : new HotTier(geometry, builder.hotTierBytes);
    if (builder.maxCacheBytes == Long.MAX_VALUE) {
      this.gate = null;
      this.evictor = null;
    } else {
      long region = Math.max(1, builder.fetchBytes / geometry.blockSizeBytes());
      this.gate = new ReaderGate();
      this.evictor = new Evictor(store, table, gate, counters, builder.maxCacheBytes, region);
    }
    this.fetcher =
        new Fetcher(table, () -> new FetchRun(table, store, counters, new RunContext()), name);
    this.unread = new PagedBits(geometry.blocks());
    this.readAhead =
        new ReadAhead(geometry.sizeBytes(), builder.readAheadMaxBytes, this::beginReadAhead);
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

  private static String name(CachePair paths) {
    return String.valueOf(paths.cacheFile().getFileName());
  }

  private FetchTable.Shape shape(Builder builder, int preferred) {
    long block = geometry.blockSizeBytes();
    long unit = Math.max(1, builder.fetchBytes / block);
    long most = Math.max(unit, preferred / block);
    return new FetchTable.Shape(unit, most, most, unit / 4);
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
    int length = dst.remaining();
    check(offset, length);
    if (length == 0) {
      return true;
    }
    long from = geometry.blockOf(offset);
    long to = geometry.blockOf(offset + length - 1) + 1;
    if (!store.isReady(from, to) && !verified(from, to)) {
      return false;
    }
    if (gate == null) {
      if (!copied(offset, dst, length, from, to)) {
        return false;
      }
    } else {
      long entered = gate.enter();
      try {
        if (!store.isReady(from, to) || !copied(offset, dst, length, from, to)) {
          return false;
        }
      } finally {
        gate.leave(entered);
      }
    }
    hit(offset, length, from, to);
    return true;
  }

  private boolean copied(long offset, ByteBuffer dst, int length, long from, long to)
      throws IOException {
    try {
      int position = dst.position();
      if (hot == null || length > HOT_READ_BYTES) {
        store.copy(offset, dst, position, length);
      } else if (!hot.copy(offset, dst, position, length)) {
        store.copy(offset, dst, position, length);
        hot.sighted(from, store.data());
      }
      dst.position(position + length);
      return true;
    } catch (ClosedChannelException e) {
      throw e;
    } catch (IOException e) {
      unreadable(from, to, e);
      return false;
    }
  }

  private void hit(long offset, int length, long from, long to) {
    counters.hits.increment();
    counters.bytesRead.add(length);
    if (!store.complete()) {
      readAhead.read(offset, length, false);
    }
    used(from, to);
  }

  /** Counts blocks that had been read ahead and are now read. */
  private void used(long from, long to) {
    if (evictor != null) {
      evictor.used(from, to);
    }
    if (unread.nextSet(from, to) < to) {
      long blocks = unread.clear(from, to);
      counters.readAheadUsedBytes.add(blocks * geometry.blockSizeBytes());
    }
  }

  /** Whether the blocks are all present and, looked at for the first time, right. */
  private boolean verified(long from, long to) {
    while (store.present().all(from, to)) {
      long bad = store.verify(from, to);
      if (bad < 0) {
        return store.isReady(from, to);
      }
      heal(bad, false);
    }
    return false;
  }

  /** Looks at what is present of a range and was not looked at before; what is wrong is dropped. */
  private void verifySome(long from, long to) {
    for (long bad; (bad = store.verify(from, to)) >= 0; ) {
      if (!heal(bad, false)) {
        return; // it is being fetched already
      }
    }
  }

  private boolean heal(long block, boolean evenIfReady) {
    boolean healed = table.heal(block, evenIfReady);
    if (healed) {
      counters.healedBlocks.increment();
    }
    return healed;
  }

  /** Drops blocks whose bytes the cache volume does not give back, so that they are fetched. */
  private void unreadable(long from, long to, IOException cause) {
    LOG.log(Level.WARNING, "{0}; fetched again", cause.getMessage());
    for (long block = from; block < to; block++) {
      heal(block, true);
    }
    degrade(cause);
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
    submit(read, true);
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
    try {
      if (tryRead(offset, dst)) {
        completion.done(null);
        return;
      }
    } catch (IOException | RuntimeException e) {
      completion.done(e);
      return;
    }
    submit(new PendingRead(offset, dst, completion), true);
  }

  /** Plans a read that was not a hit, and copies what is there on this thread. */
  private void submit(PendingRead read, boolean first) {
    long from = geometry.blockOf(read.offset());
    long to = geometry.blockOf(read.end() - 1) + 1;
    verifySome(from, to);
    FetchTable.Outcome outcome = plan(read, from, to, degraded());
    if (outcome == FetchTable.Outcome.LATER) {
      return;
    }
    if (first) {
      count(read, outcome);
      used(from, to);
      readAhead.read(read.offset(), read.end() - read.offset(), true);
    }
    fetcher.wake();
    read.partDone();
  }

  private void count(PendingRead read, FetchTable.Outcome outcome) {
    switch (outcome) {
      case READY -> counters.hits.increment();
      case JOINED -> counters.joins.increment();
      default -> counters.misses.increment();
    }
    counters.bytesRead.add(read.end() - read.offset());
  }

  /** Plans blocks of a read and copies the ready ones among them; a part of the read is held. */
  private FetchTable.Outcome plan(PendingRead read, long from, long to, boolean exact) {
    long entered = gate == null ? 0 : gate.enter();
    try {
      return planInside(read, from, to, exact);
    } finally {
      if (gate != null) {
        gate.leave(entered);
      }
    }
  }

  private FetchTable.Outcome planInside(PendingRead read, long from, long to, boolean exact) {
    List<long[]> ready = new ArrayList<>(2);
    FetchTable.Outcome outcome =
        table.plan(read, from, to, ready, exact, () -> submit(read, false));
    if (outcome == FetchTable.Outcome.CLOSED) {
      read.fail(new ClosedChannelException());
      return outcome;
    }
    for (long[] run : ready) {
      long start = Math.max(read.offset(), geometry.startOf(run[0]));
      long end = Math.min(read.end(), geometry.startOf(run[1]));
      try {
        read.copy(store, start, end);
      } catch (IOException e) {
        unreadable(run[0], run[1], e);
        FetchTable.Outcome again = planInside(read, run[0], run[1], true);
        outcome = again == FetchTable.Outcome.READY ? outcome : again;
      }
    }
    return outcome;
  }

  private long beginReadAhead(long from, long to) {
    if (degraded || closed) {
      return 0;
    }
    long begun = table.planBackground(geometry.blockOf(from), geometry.firstBlockAtOrAfter(to));
    if (begun > 0) {
      fetcher.wake();
    }
    return begun;
  }

  @Override
  public long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    check(offset, length);
    long entered = gate == null ? 0 : gate.enter();
    long sent;
    try {
      long there = presentBytes(offset, length);
      sent = there == 0 ? 0 : store.transferTo(offset, there, target);
    } finally {
      if (gate != null) {
        gate.leave(entered);
      }
    }
    if (sent > 0) {
      long from = geometry.blockOf(offset);
      long to = geometry.blockOf(offset + sent - 1) + 1;
      hit(offset, (int) Math.min(sent, Integer.MAX_VALUE), from, to);
    }
    return sent;
  }

  @Override
  public long presentBytes(long offset, long length) {
    geometry.check(offset, length);
    if (length == 0) {
      return 0;
    }
    long from = geometry.blockOf(offset);
    long to = geometry.blockOf(offset + length - 1) + 1;
    long end = store.nextNotReady(from, to);
    if (end < to && store.present().get(end)) {
      verifySome(end, to);
      end = store.nextNotReady(from, to);
    }
    return end == to ? length : Math.max(0, geometry.startOf(end) - offset);
  }

  /** How far one call of {@link #extents} looks into present blocks for zeroes. */
  private static final long EXTENT_SCAN_BYTES = 16 << 20;

  @Override
  public List<Extent> extents(long offset, long length) throws IOException {
    check(offset, length);
    List<Extent> extents = new ArrayList<>();
    long end = offset + length;
    long scanned = 0;
    for (long at = offset; at < end && scanned < EXTENT_SCAN_BYTES && extents.size() < 1024; ) {
      long block = geometry.blockOf(at);
      long last = geometry.firstBlockAtOrAfter(end);
      boolean present = store.present().get(block);
      boolean zero = false;
      long runEnd;
      if (present) {
        runEnd = Math.min(end, geometry.endBefore(block + 1));
        zero = isZero(block, at, (int) (runEnd - at));
        scanned += runEnd - at;
      } else {
        runEnd = Math.min(end, geometry.endBefore(store.present().nextSet(block, last)));
      }
      append(extents, at, runEnd, present, zero);
      at = runEnd;
    }
    return extents;
  }

  /** Whether bytes of a present block are zeroes; a block that is not verified says nothing. */
  private boolean isZero(long block, long offset, int length) {
    verifySome(block, block + 1);
    long entered = gate == null ? 0 : gate.enter();
    try {
      return store.isReady(block, block + 1) && store.data().isZero(offset, length);
    } catch (IOException e) {
      return false; // a read of it will say why
    } finally {
      if (gate != null) {
        gate.leave(entered);
      }
    }
  }

  private static void append(
      List<Extent> extents, long from, long to, boolean present, boolean zero) {
    int last = extents.size() - 1;
    if (last >= 0) {
      Extent before = extents.get(last);
      if (before.present() == present && before.zero() == zero) {
        extents.set(last, new Extent(new ByteRange(before.range().start(), to), present, zero));
        return;
      }
    }
    extents.add(new Extent(new ByteRange(from, to), present, zero));
  }

  @Override
  public void prefetch(long offset, long length) {
    geometry.check(offset, length);
    if (!closed && length > 0) {
      beginReadAhead(offset, offset + length);
    }
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
    long hits = counters.hits.sum();
    long misses = counters.misses.sum();
    long joins = counters.joins.sum();
    return new DeviceStatistics(
        hits + misses + joins,
        counters.bytesRead.sum(),
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
    } else if (releaseSourceWhenComplete && store.complete() && source.peek() != null && !closed) {
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

  /** Whether the cache volume failed a moment ago: nothing is asked for but what is needed now. */
  private boolean degraded() {
    return degraded && System.nanoTime() - degradedSince < DEGRADED_NANOS;
  }

  private void degrade(IOException cause) {
    if (!degraded) {
      LOG.log(Level.WARNING, "{0}; reads pass through to the source", cause.getMessage());
    }
    degradedSince = System.nanoTime();
    degraded = true;
  }

  private void recovered() {
    if (degraded) {
      degraded = false;
      LOG.log(Level.INFO, "{0}: storing blocks again", files.paths().cacheFile());
    }
  }

  /** Whether the limit leaves room to store so many bytes; asks for an eviction in time. */
  private boolean room(long bytes) {
    Evictor bounded = evictor;
    if (bounded == null) {
      return true;
    }
    boolean fits = bounded.mayStore(bytes);
    if (fits) {
      bounded.stored(bytes);
    }
    if (bounded.wanted()) {
      committer.hurry();
    }
    return fits;
  }

  /** What the fetches of this device do with what they get. */
  private final class RunContext implements FetchRun.Context {

    @Override
    public BlockSource source() throws IOException {
      return source.get();
    }

    @Override
    public boolean store(BlockStore.Writer writer, long block, ByteBuffer bytes) {
      int length = bytes.remaining();
      if (degraded() || !room(length)) {
        return false;
      }
      try {
        writer.store(block, bytes);
        recovered();
        return true;
      } catch (IOException e) {
        degrade(e);
        return false;
      }
    }

    @Override
    public void landedUnasked(long from, long to) {
      counters.readAheadBytes.add((to - from) * geometry.blockSizeBytes());
      unread.set(from, to);
    }

    @Override
    public void failed(Fetch fetch, List<Fetch.Part> parts, Throwable cause) {
      if (cause instanceof SourceChangedException gone) {
        source.changed(gone);
      }
      if (parts.isEmpty() && !(cause instanceof FetchRun.Cancelled)) {
        LOG.log(Level.DEBUG, "{0} failed with nobody waiting: {1}", fetch, cause.getMessage());
      }
      boolean again =
          cause instanceof FetchRun.Cancelled || (!fetch.narrow && FetchRun.mayBePartial(cause));
      Throwable shown = shown(cause);
      for (Fetch.Part part : parts) {
        if (again && !closed) {
          plan(part.read(), part.from(), part.to(), true);
          part.read().partDone();
        } else {
          part.read().fail(shown);
        }
      }
      if (again && !parts.isEmpty()) {
        fetcher.wake();
      }
    }
  }

  private Throwable shown(Throwable cause) {
    if (closed) {
      return new ClosedChannelException();
    }
    if (cause instanceof UloopException || !(cause instanceof IOException io)) {
      return cause;
    }
    return new SourceUnavailableException(
        files.identity().uri() + ": " + Objects.requireNonNullElse(io.getMessage(), io.toString()),
        io);
  }

  /** Names the device by its source, for messages. */
  @Override
  public String toString() {
    return "CachedDevice[" + files.identity().uri() + " size=" + size() + "]";
  }

  @Override
  public void close() throws IOException {
    if (!closing.compareAndSet(false, true)) {
      awaitUninterruptibly(closeDone);
      return;
    }
    List<IOException> failures = new ArrayList<>();
    try {
      closed = true;
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
        attempt(failures, files::sealBitmap);
      }
      attempt(failures, files::close);
    } finally {
      closeDone.countDown();
    }
    if (!failures.isEmpty()) {
      IOException first = failures.get(0);
      failures.stream().skip(1).forEach(first::addSuppressed);
      throw first;
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
    private int maxFetches = 64;
    private long hotTierBytes = 64 << 20;
    private long maxCacheBytes = Long.MAX_VALUE;
    private boolean checksums = true;
    private boolean offline;
    private boolean releaseSourceWhenComplete = true;
    private java.time.Duration commitInterval = java.time.Duration.ofMillis(900);
    private WhenDifferent whenDifferent = WhenDifferent.FAIL;
    private Storage storage = new LocalStorage();

    private Builder(@Nullable BlockSource given, @Nullable SourceOpener opener) {
      this.given = given;
      this.opener = opener;
    }

    private int parallelismIfUnknown() {
      return 8;
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
     * Sets whether the source is closed when the last block is in.
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

    Builder commitInterval(java.time.Duration commitInterval) {
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
