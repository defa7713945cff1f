/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.ByteRange;
import io.uloop.Extent;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads what is present, on the reader's own thread.
 *
 * <p>A hit is: the ready bits tested, the bytes copied from the hot tier or the mapping, two
 * counters bumped. No lock, no system call, no allocation; with a bounded cache, two more counters
 * (the {@link ReaderGate}).
 *
 * <p>A block that is present but was not looked at since the open is verified first; one that turns
 * out wrong is made absent, and the caller goes the way of a miss.
 *
 * <p><b>Threads:</b> any.
 */
final class HitPath {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  /** Longer reads are well served by the page cache. */
  private static final int HOT_READ_BYTES = 16 * 1024;

  /** How far one look for zeroes goes; a client that maps a whole disk asks again. */
  private static final long EXTENT_SCAN_BYTES = 16 << 20;

  private static final int MOST_EXTENTS = 1024;

  private final Geometry geometry;
  private final BlockStore store;

  /** Null without checksums: then every present block is taken to be right. */
  private final @Nullable BlockVerifier verifier;

  private final FetchTable table;
  private final Counters counters;
  private final ReadAhead readAhead;
  private final CacheHealth health;

  /** Blocks that were read ahead and that nobody has read yet. */
  private final PagedBits unread;

  private final @Nullable HotTier hot;

  /** Both null unless the cache is bounded. */
  private final @Nullable ReaderGate gate;

  private final @Nullable Evictor evictor;

  private final SendBuffers sendBuffers = new SendBuffers();

  HitPath(
      BlockStore store,
      FetchTable table,
      Counters counters,
      ReadAhead readAhead,
      CacheHealth health,
      @Nullable HotTier hot,
      @Nullable ReaderGate gate,
      @Nullable Evictor evictor) {
    this.geometry = store.geometry();
    this.store = store;
    this.verifier = store.verifier();
    this.table = table;
    this.counters = counters;
    this.readAhead = readAhead;
    this.health = health;
    this.unread = new PagedBits(geometry.blocks());
    this.hot = hot;
    this.gate = gate;
    this.evictor = evictor;
  }

  /** Fills the buffer if all is present and right; the range is within the device, not empty. */
  boolean read(long offset, ByteBuffer dst) throws IOException {
    int length = dst.remaining();
    long from = geometry.blockOf(offset);
    long to = geometry.blockOf(offset + length - 1) + 1;
    if (!take(offset, dst, length, from, to)) {
      return false;
    }
    hit(offset, length, from, to);
    return true;
  }

  private boolean take(long offset, ByteBuffer dst, int length, long from, long to)
      throws IOException {
    if (!store.isReady(from, to) && !verified(from, to)) {
      return false;
    }
    long entered = enter();
    try {
      // Evicted since? Once inside the gate, what is ready stays readable.
      return (gate == null || store.isReady(from, to)) && copied(offset, dst, length, from, to);
    } finally {
      leave(entered);
    }
  }

  private boolean copied(long offset, ByteBuffer dst, int length, long from, long to)
      throws IOException {
    try {
      int position = dst.position();
      if (hot == null || length > HOT_READ_BYTES) {
        store.copy(offset, dst, position, length);
      } else if (!hot.copy(offset, dst, position, length)) {
        store.copy(offset, dst, position, length);
        hot.sighted(from, store);
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

  /**
   * Comes into the gate, if there is one; what is ready then is not punched until {@link #leave}.
   */
  long enter() {
    return gate == null ? 0 : gate.enter();
  }

  void leave(long entered) {
    if (gate != null) {
      gate.leave(entered);
    }
  }

  /** Counts a read that was answered from what is present; not empty. */
  void hit(long offset, long length) {
    hit(offset, length, geometry.blockOf(offset), geometry.blockOf(offset + length - 1) + 1);
  }

  private void hit(long offset, long length, long from, long to) {
    counters.hits.add(length);
    boolean copying = !store.complete() && readAhead.read(offset, length, false);
    // What a copy of it all finds fetched says nothing about fetching around misses.
    if (used(from, to) && !copying) {
      counters.savedReads.increment();
    }
  }

  /**
   * Notes that blocks are read: for the evictor, and to see what fetching unasked was good for.
   *
   * @return whether one of them had been fetched unasked, and is read for the first time
   */
  boolean used(long from, long to) {
    if (evictor != null) {
      evictor.used(from, to);
    }
    if (unread.nextSet(from, to) == to) {
      return false;
    }
    boolean withLast = to == geometry.blocks() && unread.get(to - 1);
    long blocks = unread.clear(from, to);
    if (blocks == 0) {
      return false; // another was quicker
    }
    long cut = withLast ? geometry.startOf(to) - geometry.sizeBytes() : 0;
    counters.readAheadUsedBytes.add(blocks * geometry.blockSizeBytes() - cut);
    return true;
  }

  /** Notes that blocks have come that nobody had asked for. */
  void landedUnasked(long from, long to) {
    unread.set(from, to);
    counters.readAheadBytes.add(geometry.endBefore(to) - geometry.startOf(from));
  }

  /** Whether the blocks are all present and, looked at for the first time, right. */
  private boolean verified(long from, long to) {
    while (store.present().all(from, to)) {
      long bad = firstWrong(from, to);
      if (bad < 0) {
        return store.isReady(from, to);
      }
      if (!heal(bad, false)) {
        return false; // it is being fetched, or another was quicker
      }
    }
    return false;
  }

  private long firstWrong(long from, long to) {
    return verifier == null ? -1 : verifier.verify(from, to, table::verified);
  }

  /** Looks at what is present of a range and was not looked at before; what is wrong is dropped. */
  void verifySome(long from, long to) {
    for (long bad; (bad = firstWrong(from, to)) >= 0; ) {
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
  void unreadable(long from, long to, IOException cause) {
    if (cause instanceof ClosedChannelException) {
      return; // by the device's end
    }
    boolean cut = false;
    try {
      cut = store.noticeCut();
    } catch (IOException e) {
      cause.addSuppressed(e);
    }
    LOG.log(Level.WARNING, "{0}; fetched again", cause.getMessage());
    for (long block = from; block < to; block++) {
      heal(block, true);
    }
    if (!cut) {
      health.failed(cause);
    }
  }

  /** Holds every present block against its checksum; what is wrong is dropped. */
  CachedDevice.Verification verifyAll(java.util.function.BooleanSupplier stop) {
    long checked = 0;
    long bad = 0;
    long end = geometry.blocks();
    for (long block = 0; (block = store.present().nextSet(block, end)) < end; block++) {
      if (stop.getAsBoolean()) {
        break;
      }
      long entered = enter();
      try {
        if (store.present().get(block)) {
          checked++;
          if (verifier != null && !verifier.verifyNow(block) && heal(block, true)) {
            bad++;
          }
        }
      } finally {
        leave(entered);
      }
    }
    return new CachedDevice.Verification(checked, bad);
  }

  long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    long sent = transferFetched(offset, length, target);
    if (sent > 0) {
      hit(offset, sent);
    }
    return sent;
  }

  /** As {@link #transferTo}, but not counted: the read was, when it began to wait. */
  long transferFetched(long offset, long length, WritableByteChannel target) throws IOException {
    long there = presentBytes(offset, length);
    if (there == 0) {
      return 0;
    }
    return gate == null ? send(offset, there, target) : sendCopies(offset, there, target);
  }

  /**
   * Sends present bytes that may be evicted, through memory of our own.
   *
   * <p>Not straight from the cache file: what the kernel has queued are the pages themselves, for
   * as long as the other end does not read, and a hole punched meanwhile makes zeroes of them. Nor
   * through the gate: the target may keep us for ever, and the evictor must not wait for it.
   */
  private long sendCopies(long offset, long length, WritableByteChannel target) throws IOException {
    ByteBuffer buffer = sendBuffers.take();
    try {
      long sent = 0;
      while (sent < length) {
        long at = offset + sent;
        int n = (int) Math.min(buffer.capacity(), length - sent);
        long from = geometry.blockOf(at);
        long to = geometry.blockOf(at + n - 1) + 1;
        if (!take(at, buffer.clear().limit(n), n, from, to)) {
          break;
        }
        sent += target.write(buffer.flip());
        if (buffer.hasRemaining()) {
          break;
        }
      }
      return sent;
    } finally {
      sendBuffers.give(buffer);
    }
  }

  /** Sends present bytes; if it is the file that does not give them, its block is dropped. */
  private long send(long offset, long length, WritableByteChannel target) throws IOException {
    long block = geometry.blockOf(offset);
    IOException failure = null;
    try {
      long sent = store.transferTo(offset, length, target);
      // None: the target is full, or the file ends before.
      if (sent > 0 || PairFailures.size(store.data().file()) > offset) {
        return sent;
      }
    } catch (ClosedChannelException e) {
      throw e;
    } catch (IOException e) {
      failure = e;
    }
    try {
      store.data().file().read(ByteBuffer.allocate(1), offset);
    } catch (IOException e) {
      unreadable(
          block,
          block + 1,
          PairFailures.of(store.data().file().path(), "read of 1 byte at " + offset, e));
      return 0;
    }
    if (failure != null) {
      throw failure; // it was the target
    }
    return 0;
  }

  long presentBytes(long offset, long length) {
    if (length == 0) {
      return 0;
    }
    long from = geometry.blockOf(offset);
    long to = geometry.blockOf(offset + length - 1) + 1;
    long end = store.nextNotReady(from, to);
    if (end < to && store.present().get(end)) {
      verifySome(end, store.present().nextClear(end, to));
      end = store.nextNotReady(from, to);
    }
    return end == to ? length : Math.max(0, geometry.startOf(end) - offset);
  }

  /** See {@link io.uloop.BlockDevice#extents}. */
  List<Extent> extents(long offset, long length) {
    List<Extent> extents = new ArrayList<>();
    long end = offset + length;
    long lastBlock = geometry.firstBlockAtOrAfter(end);
    long scanned = 0;
    for (long at = offset;
        at < end && scanned < EXTENT_SCAN_BYTES && extents.size() < MOST_EXTENTS; ) {
      long block = geometry.blockOf(at);
      boolean present = store.present().get(block);
      long runEnd =
          Math.min(
              end,
              geometry.endBefore(present ? block + 1 : store.present().nextSet(block, lastBlock)));
      boolean zero = present && isZero(block);
      scanned += present ? runEnd - at : 0;
      append(extents, at, runEnd, present, zero);
      at = runEnd;
    }
    return extents;
  }

  /** Whether a present block is known to be zero; one that is not verified says nothing. */
  private boolean isZero(long block) {
    if (!store.isReady(block, block + 1)) {
      verifySome(block, Math.min(block + MOST_EXTENTS, geometry.blocks()));
    }
    return store.isReady(block, block + 1) && store.isKnownZero(block);
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
}
