/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * The blocks that are held locally: their bytes, and what is known of each.
 *
 * <pre>
 *   absent --stored--> present+ready          (bits in memory)
 *   present (from the bitmap on disk) --verified--> present+ready
 *   present --checksum wrong--> absent        (healed: the next read fetches it)
 *   present+ready --evicted--> absent
 * </pre>
 *
 * A reader may use a block that is <em>ready</em>; <em>present</em> is what the committer makes
 * durable. A block's bytes and checksum are written before its bits are set.
 *
 * <p>A page of the bitmap with changes is <em>dirty</em>: its flag is set after the bits, and
 * cleared before they are copied, so that no change is missed.
 *
 * <p><b>Threads:</b> any. The caller sees to it that a block is stored by one thread at a time, and
 * never while it is being evicted (the in-flight table does).
 */
final class BlockStore {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  private final PairFiles files;
  private final Geometry geometry;
  private final CacheData data;
  private final @Nullable Checksums checksums;
  private final PagedBits present;
  private final PagedBits ready;
  private final PagedBits dirtyPages;
  private final AtomicLong presentBlocks;

  /** Blocks known to hold nothing but zeroes; noticed when they are stored or verified. */
  private final PagedBits zeroes;

  /** Blocks that were present once and are not now: their place in the file need not be a hole. */
  private final PagedBits overwritten;

  /** Has copies of blocks, which are dropped with them. */
  private final @Nullable HotTier hot;

  private final Runnable onDirty;

  /** See {@link #noticeCut}; changed under the lock of {@link #losses}. */
  private volatile long length;

  /** How often written data was lost, as it could not be forced. */
  private final AtomicLong losses = new AtomicLong();

  /**
   * Over an open pair.
   *
   * @param hot where copies of its blocks are kept, if they are
   * @param onDirty told each time that bits have changed; must be cheap
   */
  BlockStore(PairFiles files, @Nullable HotTier hot, Runnable onDirty) {
    this.files = files;
    this.geometry = files.geometry();
    this.data = new CacheData(files.cacheFile(), geometry.cacheFileBytes());
    Storage.File sums = files.checksumFile();
    this.checksums = sums == null ? null : new Checksums(sums);
    this.present = files.present();
    // Without checksums there is nothing to verify, and one set of bits serves both ends.
    this.ready = checksums == null ? present : new PagedBits(geometry.blocks());
    this.dirtyPages = new PagedBits(present.pageCount());
    this.overwritten = new PagedBits(geometry.blocks());
    this.zeroes = new PagedBits(geometry.blocks());
    this.presentBlocks = new AtomicLong(present.count());
    this.hot = hot;
    this.length = geometry.cacheFileBytes();
    this.onDirty = onDirty;
  }

  Geometry geometry() {
    return geometry;
  }

  PagedBits present() {
    return present;
  }

  PagedBits dirtyPages() {
    return dirtyPages;
  }

  CacheData data() {
    return data;
  }

  @Nullable Checksums checksums() {
    return checksums;
  }

  /** Gives what holds blocks against their checksums; null if there are none. */
  @Nullable BlockVerifier verifier() {
    return checksums == null
        ? null
        : new BlockVerifier(this, checksums, files.everyBlockHasChecksum());
  }

  /** Whether the cache file was made with this store, so that what was never stored is a hole. */
  boolean pristine() {
    return files.pristine();
  }

  long presentBlocks() {
    return presentBlocks.get();
  }

  boolean complete() {
    return presentBlocks.get() == geometry.blocks();
  }

  /** Whether a reader may use all blocks of the range now. */
  boolean isReady(long fromBlock, long toBlock) {
    return ready.all(fromBlock, toBlock);
  }

  /** The first block of the range that a reader may not use now, or {@code toBlock}. */
  long nextNotReady(long fromBlock, long toBlock) {
    return ready.nextClear(fromBlock, toBlock);
  }

  long nextReady(long fromBlock, long toBlock) {
    return ready.nextSet(fromBlock, toBlock);
  }

  /** Whether a present block is known to hold nothing but zeroes. */
  boolean isKnownZero(long block) {
    return zeroes.get(block);
  }

  /** Copies ready bytes out; see {@link CacheData#copy}. */
  void copy(long offset, ByteBuffer dst, int index, int length) throws IOException {
    data.copy(offset, dst, index, length);
  }

  long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    return data.transferTo(offset, length, target);
  }

  /** The first block of the range that is present and was not looked at, or {@code toBlock}. */
  long nextUnverified(long fromBlock, long toBlock) {
    long block = ready.nextClear(fromBlock, toBlock);
    while (block < toBlock && !present.get(block)) {
      block = ready.nextClear(present.nextSet(block, toBlock), toBlock);
    }
    return block;
  }

  /** Lets readers use a block, which must be present; the caller holds it against being cleared. */
  void setReady(long block) {
    ready.set(block, block + 1);
    if (!present.get(block)) {
      ready.clear(block, block + 1); // withdrawn just now
    }
  }

  /** Notes that a present block holds nothing but zeroes. */
  void setKnownZero(long block) {
    zeroes.set(block, block + 1);
  }

  private Object name() {
    return files.paths().cacheFile();
  }

  /** A thread's means of storing blocks. */
  final class Writer {
    private final Checksums.@Nullable Writer sums;
    private final Zeroes zeroCheck = new Zeroes();

    /** What of a run has to be written: pairs of places within it, in bytes. */
    private final int[] pieces;

    /** For runs of at most this many blocks. */
    Writer(int maxBlocks) {
      this.sums = checksums == null ? null : checksums.new Writer(maxBlocks);
      this.pieces = new int[maxBlocks + 1];
    }

    /**
     * Stores a run of blocks that are absent, and marks them present.
     *
     * <p>Blocks of zeroes are not written where the file is a hole anyway.
     *
     * @param firstBlock the first
     * @param bytes position to limit: whole blocks, but for the image's last; left as it was
     * @return whether any of it had to be written
     * @throws IOException if the volume fails or is full; no block is marked then
     */
    boolean store(long firstBlock, ByteBuffer bytes) throws IOException {
      if (noticeCut()) {
        throw new IOException(name() + ": was cut; stores nothing until that is committed");
      }
      long lossesBefore = losses.get();
      long endBlock = firstBlock + 1 + (bytes.remaining() - 1) / geometry.blockSizeBytes();
      int count = look(firstBlock, bytes);
      ByteBuffer view = bytes.duplicate();
      int base = bytes.position();
      long start = geometry.startOf(firstBlock);
      for (int i = 0; i < count; i += 2) {
        view.limit(base + pieces[i + 1]).position(base + pieces[i]);
        data.write(view, start + pieces[i]);
      }
      if (sums != null) {
        sums.write();
      }
      mark(firstBlock, endBlock);
      if (losses.get() != lossesBefore) {
        // What was written may be lost, and the committer may have looked before the bits were set.
        clear(firstBlock, endBlock);
        throw new IOException(name() + ": force failed while blocks were stored");
      }
      return count > 0;
    }

    /**
     * Computes checksums, notices zeroes and finds the pieces to write; gives twice their count.
     */
    private int look(long firstBlock, ByteBuffer bytes) {
      if (sums != null) {
        sums.begin(firstBlock);
      }
      int base = bytes.position();
      int end = bytes.remaining();
      int blockSize = geometry.blockSizeBytes();
      int count = 0;
      int pending = 0;
      long block = firstBlock;
      for (int at = 0; at < end; at += blockSize, block++) {
        int length = Math.min(blockSize, end - at);
        boolean zero = zeroCheck.only(bytes, base + at, length);
        if (sums != null) {
          sums.add(bytes, base + at, length, zero);
        }
        if (zero) {
          zeroes.set(block, block + 1);
          if (readsAsZeroes(block, length)) {
            count = piece(count, pending, at);
            pending = at + length;
          }
        }
      }
      return piece(count, pending, end);
    }

    private int piece(int count, int from, int to) {
      if (from == to) {
        return count;
      }
      pieces[count] = from;
      pieces[count + 1] = to;
      return count + 2;
    }
  }

  /** Whether a block need not be written to read as zeroes: the file was made by us, and empty. */
  private boolean readsAsZeroes(long block, int length) {
    return (files.pristine() && !overwritten.get(block))
        || data.isZero(geometry.startOf(block), ByteBuffer.allocate(length));
  }

  private void mark(long fromBlock, long toBlock) {
    // In this order, and the other way round below: what is withdrawn just now is not left ready.
    if (ready != present) {
      ready.set(fromBlock, toBlock);
    }
    long added = present.set(fromBlock, toBlock);
    presentBlocks.addAndGet(added);
    dirty(fromBlock, toBlock);
  }

  /** Makes blocks absent again; the caller holds them against being stored meanwhile. */
  void clear(long fromBlock, long toBlock) {
    overwritten.set(fromBlock, toBlock);
    zeroes.clear(fromBlock, toBlock);
    presentBlocks.addAndGet(-present.clear(fromBlock, toBlock));
    if (ready != present) {
      ready.clear(fromBlock, toBlock);
    }
    if (hot != null) {
      hot.drop(fromBlock, toBlock);
    }
    dirty(fromBlock, toBlock);
  }

  private void dirty(long fromBlock, long toBlock) {
    dirtyPages.set(fromBlock / PagedBits.PAGE_BITS, (toBlock - 1) / PagedBits.PAGE_BITS + 1);
    onDirty.run();
  }

  /**
   * Notices that somebody made the cache file shorter while it is in use: what was beyond its end
   * is made absent. Nothing is stored, and the file stays short, until that is durable ({@link
   * #extend}): a power cut would leave bits and a hole where the file has its length again.
   *
   * @return whether it is shorter
   */
  boolean noticeCut() throws IOException {
    if (PairFailures.size(data.file()) >= length) {
      return isCut();
    }
    synchronized (losses) {
      long size = PairFailures.size(data.file());
      if (size >= length) {
        return isCut(); // another has seen it
      }
      LOG.log(
          Level.WARNING,
          "{0}: was cut to {1} bytes while in use; what it held beyond is fetched again",
          name(),
          Long.toString(size));
      losses.incrementAndGet(); // for who stores just now
      long blocks = geometry.blocks();
      long from = geometry.blockOf(size);
      while ((from = present.nextSet(from, blocks)) < blocks) {
        long to = present.nextClear(from, blocks);
        clear(from, to);
        from = to;
      }
      length = size;
    }
    onDirty.run();
    return true;
  }

  /** Whether the cache file was found cut and is short still. */
  boolean isCut() {
    return length < geometry.cacheFileBytes();
  }

  /** How long the cache file is, as far as was noticed. */
  long length() {
    return length;
  }

  /**
   * Gives a cache file that was cut its length again, if it was not cut once more meanwhile.
   *
   * @param cutTo the {@link #length} that it had when bits were copied that are durable now
   * @return whether it has its length
   */
  boolean extend(long cutTo) throws IOException {
    synchronized (losses) {
      if (noticeCut() && length != cutTo) {
        return false;
      }
      try {
        data.file().setSize(geometry.cacheFileBytes());
      } catch (IOException e) {
        throw PairFailures.of(files.paths().cacheFile(), "resize", e);
      }
      length = geometry.cacheFileBytes();
      return true;
    }
  }

  /**
   * Says that data written before may be lost; then comes {@link #withdraw} for each page that has
   * changes.
   */
  void lost() {
    losses.incrementAndGet();
  }

  /**
   * Makes the blocks of a bitmap page absent that are not durable, as their data could not be
   * forced; and those that were absent before and have their bit on disk still, of older data.
   *
   * @param page which page
   * @param durable the page as it is on disk
   */
  void withdraw(int page, long[] durable) {
    long first = (long) page * PagedBits.PAGE_BITS;
    for (int word = 0; word < durable.length; word++) {
      for (int bit = 0; bit < Long.SIZE; bit++) {
        long block = first + word * 64L + bit;
        if (block < geometry.blocks()
            && present.get(block)
            && ((durable[word] & 1L << bit) == 0 || overwritten.get(block))) {
          clear(block, block + 1);
        }
      }
    }
  }
}
