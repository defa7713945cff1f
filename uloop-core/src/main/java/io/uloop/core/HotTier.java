/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import com.github.benmanes.caffeine.cache.RemovalCause;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.util.internal.PlatformDependent;
import java.lang.System.Logger.Level;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Copies of the blocks that are read again and again, in memory of our own.
 *
 * <p>The page cache serves most reads as well; this tier is for when it does not, as other files
 * push the cache file out of it. A block is taken in only when it was read {@link #SIGHTINGS} times
 * among the last reads, so that a scan or a random walk neither fills the tier nor pays for it.
 *
 * <p>Three parts. {@link #slots} finds a block's copy without allocating (a Caffeine key would have
 * to be boxed). Caffeine (W-TinyLFU) decides which copies stay; its key is the copy itself. The
 * memory is Netty's, pooled and direct. A copy is counted: one for being in the tier, one for each
 * reader that copies from it; the last one to let go frees it.
 *
 * <p>A copy is dropped when its block is made absent, as its bytes may have been why. Who takes a
 * copy notes {@link #drops} first, then sees that the block is ready, and looks at {@link #drops}
 * again when the copy can be found: a block is made unready first, then counted, then dropped.
 *
 * <p>No more than half of the memory that direct buffers may have is taken, and no more at all once
 * it was refused: that memory is needed elsewhere, and the tier can be done without.
 *
 * <p><b>Threads:</b> any; no locks on a hit. {@link #sightings} is read and written without any
 * order: a lost count costs a later admission.
 */
final class HotTier {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  private static final int SIGHTINGS = 4;

  /** Caffeine is told of every so many uses only, which estimates them as well; a power of two. */
  private static final int USES_TOLD = 8;

  private static final int SKETCH_SLOTS = 1 << 14;
  private static final int PROBES = 4;
  private static final VarHandle HOLDERS;

  static {
    try {
      HOLDERS = MethodHandles.lookup().findVarHandle(Copy.class, "holders", int.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  /** One block's bytes. */
  private static final class Copy {
    final long block;
    final ByteBuf owner;
    final ByteBuffer bytes;

    @SuppressWarnings("unused") // through HOLDERS
    private volatile int holders = 1;

    Copy(long block, ByteBuf owner, int length) {
      this.block = block;
      this.owner = owner;
      this.bytes = owner.nioBuffer(0, length);
    }

    boolean hold() {
      for (int now; (now = (int) HOLDERS.getVolatile(this)) > 0; ) {
        if (HOLDERS.compareAndSet(this, now, now + 1)) {
          return true;
        }
      }
      return false;
    }

    void letGo() {
      if ((int) HOLDERS.getAndAdd(this, -1) == 1) {
        owner.release();
      }
    }
  }

  private final Geometry geometry;
  private final long maxBytes;

  /** A hash table without chains: a copy is in one of {@link #PROBES} slots, or not here at all. */
  private final AtomicReferenceArray<@Nullable Copy> slots;

  /** Made with the first copy: loading Netty and Caffeine costs a tenth of a second. */
  private volatile @Nullable Policy policy;

  private final short[] sightings = new short[SKETCH_SLOTS];

  /** Counts uses, without any order: who reads a stale value tells a little more or less. */
  private int uses;

  /** How often copies were dropped with their blocks. */
  private final AtomicLong drops = new AtomicLong();

  /** Takes no more copies: it is closed, or there was no memory for one. */
  private volatile boolean ended;

  private volatile boolean closed;

  /**
   * Makes an empty tier.
   *
   * @param maxBytes the most that the copies take together
   */
  HotTier(Geometry geometry, long maxBytes) {
    this.geometry = geometry;
    long copies = Math.min(geometry.blocks(), maxBytes / geometry.blockSizeBytes()) + 1;
    // At most half full, so that the probes nearly always find room.
    int table = (int) Long.highestOneBit(Math.min(1 << 28, copies * 4));
    this.slots = new AtomicReferenceArray<>(table + PROBES);
    this.maxBytes = maxBytes;
  }

  /**
   * The pool of all tiers. A pool keeps a chunk (2 MiB) after its last buffer is freed, until the
   * collector comes: with one for each tier, devices that come and go would pile them up.
   */
  private static final class Memory {
    static final PooledByteBufAllocator POOL =
        new PooledByteBufAllocator(true, 0, 1, 8192, 8, 0, 0, false);
  }

  /** Which copies are kept. */
  private final class Policy {
    final Cache<Copy, Copy> copies =
        Caffeine.newBuilder()
            .maximumWeight(Math.min(maxBytes, PlatformDependent.maxDirectMemory() / 2))
            .weigher((Copy key, Copy copy) -> geometry.blockSizeBytes())
            .executor(Runnable::run)
            .removalListener(HotTier.this::removed)
            .build();
  }

  private Policy policy() {
    Policy made = policy;
    if (made == null) {
      synchronized (sightings) {
        made = policy;
        if (made == null) {
          made = new Policy();
          policy = made;
        }
      }
    }
    return made;
  }

  private void removed(@Nullable Copy key, @Nullable Copy copy, RemovalCause cause) {
    if (copy != null) {
      int first = firstSlot(copy.block);
      for (int slot = first; slot < first + PROBES; slot++) {
        slots.compareAndSet(slot, copy, null);
      }
      copy.letGo();
    }
  }

  private static long hash(long block) {
    return block * 0x9E3779B97F4A7C15L; // 2^64 / golden ratio: Fibonacci hashing
  }

  private int firstSlot(long block) {
    return (int) ((hash(block) >>> 20) & (slots.length() - PROBES - 1));
  }

  private @Nullable Copy find(long block) {
    int first = firstSlot(block);
    for (int slot = first; slot < first + PROBES; slot++) {
      Copy copy = slots.get(slot);
      if (copy != null && copy.block == block) {
        return copy;
      }
    }
    return null;
  }

  /**
   * Copies bytes out if all their blocks are here.
   *
   * @return false if one is not; the destination may have been written to then
   */
  boolean copy(long offset, ByteBuffer dst, int index, int length) {
    int done = 0;
    while (done < length) {
      long at = offset + done;
      long block = geometry.blockOf(at);
      Copy copy = find(block);
      if (copy == null || !copy.hold()) {
        return false;
      }
      try {
        int within = (int) (at - geometry.startOf(block));
        int n = Math.min(length - done, geometry.blockSizeBytes() - within);
        dst.put(index + done, copy.bytes, within, n);
        done += n;
      } finally {
        copy.letGo();
      }
      if ((++uses & USES_TOLD - 1) == 0) {
        var unused = policy().copies.getIfPresent(copy); // a sign of use
      }
    }
    return true;
  }

  /** Notes that a block was read elsewhere, and takes a copy if that happens often. */
  void sighted(long block, BlockStore store) {
    long hash = hash(block);
    int slot = (int) (hash >>> 50);
    int tag = (int) (hash >>> 32) & 0xFFF8;
    int seen = sightings[slot] & 0xFFFF;
    int times = (seen & 0xFFF8) == tag ? (seen & 7) + 1 : 1;
    if (times < SIGHTINGS) {
      sightings[slot] = (short) (tag | times);
    } else {
      sightings[slot] = 0;
      take(block, store);
    }
  }

  private void take(long block, BlockStore store) {
    int length = (int) (geometry.endBefore(block + 1) - geometry.startOf(block));
    long before = drops.get();
    if (ended || find(block) != null || !store.isReady(block, block + 1)) {
      return;
    }
    Cache<Copy, Copy> copies;
    Copy copy;
    try {
      copies = policy().copies; // before anybody may find the copy
      copy = new Copy(block, Memory.POOL.directBuffer(geometry.blockSizeBytes()), length);
    } catch (OutOfMemoryError e) {
      ended = true;
      LOG.log(
          Level.WARNING,
          "no direct memory for copies of the blocks that are read most; no more are made: {0}",
          e.getMessage());
      return;
    }
    try {
      store.copy(geometry.startOf(block), copy.bytes, 0, length);
    } catch (java.io.IOException e) {
      copy.letGo(); // the read that comes next finds the same, and says so
      return;
    }
    int first = firstSlot(block);
    for (int slot = first; slot < first + PROBES; slot++) {
      if (slots.compareAndSet(slot, null, copy)) {
        copies.put(copy, copy);
        if (drops.get() != before) {
          copies.invalidate(copy);
        }
        if (closed) {
          close();
        }
        return;
      }
    }
    copy.letGo();
  }

  /** Drops the copies of blocks that are not ready any more. */
  void drop(long from, long to) {
    drops.incrementAndGet();
    if (policy == null) {
      return;
    }
    if (to - from > slots.length() / PROBES) {
      dropFrom(0, slots.length(), from, to);
      return;
    }
    for (long block = from; block < to; block++) {
      int first = firstSlot(block);
      dropFrom(first, first + PROBES, block, block + 1);
    }
  }

  private void dropFrom(int firstSlot, int endSlot, long from, long to) {
    for (int slot = firstSlot; slot < endSlot; slot++) {
      Copy copy = slots.get(slot);
      if (copy != null && from <= copy.block && copy.block < to) {
        policy().copies.invalidate(copy);
      }
    }
  }

  /** Frees everything that no reader holds; readers that do free theirs. */
  void close() {
    ended = true;
    closed = true;
    Policy made = policy;
    if (made != null) {
      made.copies.invalidateAll();
      made.copies.cleanUp();
    }
  }
}
