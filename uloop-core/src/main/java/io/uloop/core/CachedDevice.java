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
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
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

  private final Engine engine;
  private final Geometry geometry;
  private final HitPath hits;
  private final MissPath misses;
  private final DeviceCapabilities capabilities;

  private CachedDevice(Engine engine) {
    this.engine = engine;
    this.geometry = engine.geometry();
    this.hits = engine.hits();
    this.misses = engine.misses();
    this.capabilities =
        new DeviceCapabilities(
            false,
            false,
            false,
            false,
            engine.rotational(),
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
    return engine.identity();
  }

  /**
   * Tells whether every block is present, so that the source is no longer needed.
   *
   * @return whether the cache file is the whole image
   */
  public boolean isComplete() {
    return engine.store().complete();
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
    new BlockingRead(offset, dst).run(misses);
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
  public boolean fetchAsync(long offset, long length, ReadCompletion completion) {
    geometry.check(offset, length);
    if (length == 0 || engine.closed() || !misses.keeps()) {
      return false;
    }
    misses.submit(new PendingRead(offset, length, completion));
    return true;
  }

  @Override
  public long transferFetched(long offset, long length, WritableByteChannel target)
      throws IOException {
    check(offset, length);
    return hits.transferFetched(offset, length, target);
  }

  @Override
  public long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    check(offset, length);
    return hits.transferTo(offset, length, target);
  }

  @Override
  public long presentBytes(long offset, long length) {
    geometry.check(offset, length);
    return engine.closed() ? 0 : hits.presentBytes(offset, length);
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
   * @return the run from there on, cut at the end of the image; empty if there is none, or the
   *     device is closed
   * @throws IndexOutOfBoundsException if the offset is not within the device
   */
  public Optional<ByteRange> nextPresent(long offset) {
    geometry.check(offset, 0);
    long blocks = geometry.blocks();
    // At the end of the image the last block, if it is cut, may still have its bit set.
    long from = engine.store().present().nextSet(geometry.blockOf(offset), blocks);
    if (offset == geometry.sizeBytes() || from == blocks || engine.closed()) {
      return Optional.empty();
    }
    long to = engine.store().present().nextClear(from, blocks);
    return Optional.of(
        new ByteRange(Math.max(offset, geometry.startOf(from)), geometry.endBefore(to)));
  }

  @Override
  public void zeroesTold(long offset, long length) {
    geometry.check(offset, length);
    if (length > 0 && !engine.closed()) {
      hits.hit(offset, length);
    }
  }

  @Override
  public void prefetch(long offset, long length) {
    geometry.check(offset, length);
    misses.prefetch(offset, offset + length);
  }

  /**
   * Begins to fetch all that is absent, in the background and after all that readers wait for.
   *
   * <p>Pauses while the cache volume is full or failing; a bounded cache is filled up to where it
   * would have to evict.
   *
   * @param bytesPerSecond the most to fetch per second; {@link Long#MAX_VALUE} for no limit
   * @param fetches how many fetches to run at once, one or more
   * @return the work under way; it ends by itself, when cancelled, or with the device
   * @throws IllegalArgumentException if a number is less than one
   */
  public BackgroundFill fill(long bytesPerSecond, int fetches) {
    BackgroundFill fill =
        new BackgroundFill(
            geometry, engine.store(), misses, bytesPerSecond, fetches, engine::closed);
    fill.start("uloop-fill-" + engine.name());
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
    Verification result = hits.verifyAll(engine::closed);
    check(0, 0);
    return result;
  }

  @Override
  public void flush() throws IOException {
    if (engine.closed()) {
      throw new ClosedChannelException();
    }
    engine.flush();
  }

  @Override
  public DeviceStatistics statistics() {
    return engine.statistics();
  }

  private void check(long offset, long length) throws IOException {
    if (engine.closed()) {
      throw new ClosedChannelException();
    }
    geometry.check(offset, length);
  }

  /** Names the device by its source, for messages. */
  @Override
  public String toString() {
    return "CachedDevice[" + engine.identity().uri() + " size=" + size() + "]";
  }

  @Override
  public void close() throws IOException {
    engine.close();
  }

  /**
   * Collects what a device is made with; not safe for use by several threads.
   *
   * @since 0.1
   */
  public static final class Builder {
    final @Nullable BlockSource given;
    final @Nullable SourceOpener opener;
    private @Nullable CachePair pair;
    int blockSizeBytes;
    int fetchBytes = 64 * 1024;
    int readAheadMaxBytes = 32 << 20;
    long hotTierBytes = 64 << 20;
    long maxCacheBytes = Long.MAX_VALUE;
    boolean checksums = true;
    boolean offline;
    boolean releaseSourceWhenComplete = true;
    Duration commitInterval = Duration.ofMillis(900);
    long commitBytes = 64 << 20;
    Duration sourceWait = Duration.ZERO;
    WhenDifferent whenDifferent = WhenDifferent.FAIL;
    Storage storage = new LocalStorage();

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
     * Sets how far to fetch ahead of a sequential reader; 32 MiB unless set, 0 for not at all. More
     * than 16 MiB only where that is read within a second.
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
     * @param wait zero or more; what is beyond the 292 years of a nanosecond clock is for ever
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
        IllegalStateException none = new IllegalStateException("no pair of files was given");
        SourceSlot.closeAfter(given, none);
        throw none;
      }
      return new CachedDevice(Engine.open(this, paths));
    }
  }
}
