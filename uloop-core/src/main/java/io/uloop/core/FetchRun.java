/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.uloop.BlockSource;
import io.uloop.Extent;
import io.uloop.ReadSink;
import io.uloop.SourceChangedException;
import io.uloop.SourceProtocolException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Runs fetches, one after the other: from the source into the store and to the readers.
 *
 * <p>Each piece that arrives is cut at block boundaries; what is left over waits in {@link
 * #staging} for the rest of its block. Whole blocks are stored, marked, and copied to the readers
 * that wait for them, who are so answered as soon as their own bytes are there. If storing fails
 * the readers get the bytes all the same.
 *
 * <p>Belongs to one worker thread.
 */
final class FetchRun implements Fetcher.Runner {

  /** The most that is stored and marked at once: readers wait no longer than this takes to come. */
  static final int MAX_LAND_BYTES = 1024 * 1024;

  /** The same in a bounded cache, in which room for it has to be kept. */
  static final int MAX_LAND_BYTES_BOUNDED = 256 * 1024;

  private static final Comparator<Fetch.Part> BY_START = Comparator.comparingLong(Fetch.Part::from);

  private static final ByteBuffer ZEROES = ByteBuffer.allocateDirect(256 * 1024);

  /** What a run needs of the device. */
  interface Context {
    /** The open source; may block while it is being opened. */
    BlockSource source() throws IOException;

    /** Stores a run of absent blocks; false if the cache volume does not take them now. */
    boolean store(BlockStore.Writer writer, long block, ByteBuffer bytes);

    /** Blocks have been stored that no reader waits for. */
    void landedUnasked(long from, long to);

    /**
     * Says that this worker waits for a thread of the source's to have given its piece, or, with
     * null, that it does no more.
     */
    void waitsFor(@Nullable Thread giver);

    /** Ends a fetch that failed: its readers are failed or planned again. */
    void failed(Fetch fetch, List<Fetch.Part> parts, Throwable cause);
  }

  private final FetchTable table;
  private final BlockStore store;
  private final Geometry geometry;
  private final Counters counters;
  private final Context context;
  private final int mostLanding;
  private final BlockStore.Writer writer;
  private final List<Fetch.Part> touched = new ArrayList<>();

  /** The beginning of a block whose rest has not come. */
  private final ByteBuffer staging;

  // The fetch that is running, or the last one.
  private Fetch fetch = new Fetch(0, 0, false, false);
  private long position;
  private long expectedEnd;

  /** When the first bytes of the source's read came, or 0; and how long we kept it since. */
  private long firstCame;

  private long ownNanos;

  /**
   * Makes a run that has run nothing yet.
   *
   * @param mostLanding the most that is stored and marked at once, in bytes; one block is, if it is
   *     larger
   */
  FetchRun(
      FetchTable table, BlockStore store, Counters counters, Context context, int mostLanding) {
    this.table = table;
    this.store = store;
    this.geometry = store.geometry();
    this.counters = counters;
    this.context = context;
    this.mostLanding = mostLanding;
    this.staging = ByteBuffer.allocate(geometry.blockSizeBytes());
    this.writer = store.new Writer(Math.max(1, mostLanding / geometry.blockSizeBytes()));
  }

  @Override
  public void run(Fetch next) {
    fetch = next;
    try {
      BlockSource source = context.source();
      if (!table.mayRead(next)) {
        return;
      }
      counters.fetches.increment();
      position = geometry.startOf(next.next);
      staging.clear();
      readAll(source, geometry.endBefore(next.end));
      for (Fetch.Part left : table.ended(next)) {
        throw new AssertionError("a part is left after all has landed: " + left);
      }
    } catch (Throwable e) { // whatever a source throws, its readers are told
      List<Fetch.Part> left = table.ended(next);
      if (!(e instanceof Cancelled) || !left.isEmpty()) {
        counters.fetchFailures.increment();
      }
      context.failed(next, left, e);
    }
  }

  private void readAll(BlockSource source, long end) throws IOException {
    while (position < end) {
      // What the source knows to be zero is not fetched.
      Extent extent = firstExtent(source, end);
      long extentEnd = Math.min(end, extent.range().end());
      if (extent.zero()) {
        while (position < extentEnd) {
          int n = (int) Math.min(ZEROES.capacity(), extentEnd - position);
          expectedEnd = extentEnd;
          take(ZEROES.duplicate().limit(n));
        }
      } else {
        long start = position;
        expectedEnd = extentEnd;
        long begun = System.nanoTime();
        firstCame = 0;
        ownNanos = 0;
        Intake intake = new Intake();
        try {
          source.read(position, extentEnd - position, intake);
        } finally {
          intake.end();
        }
        if (firstCame != 0) {
          long blocks = (extentEnd - start) / geometry.blockSizeBytes();
          long rest = System.nanoTime() - firstCame - ownNanos;
          table.took(fetch, blocks, firstCame - begun, Math.max(0, rest));
        }
        if (position != extentEnd) {
          throw new SourceProtocolException(
              source.identity().uri()
                  + ": gave "
                  + (position - start)
                  + " bytes of ["
                  + start
                  + ", "
                  + extentEnd
                  + ")");
        }
      }
    }
  }

  private Extent firstExtent(BlockSource source, long end) throws IOException {
    List<Extent> extents = source.extents(position, end - position);
    Extent first = extents.isEmpty() ? null : extents.get(0);
    if (first == null || first.range().start() != position || first.range().end() <= position) {
      throw new SourceProtocolException(
          "%s: gave extents of [%d, %d) that begin with %s"
              .formatted(source.identity().uri(), position, end, first));
    }
    return first;
  }

  /**
   * The sink of one read of the source. What comes when that has ended, from a thread that the
   * source left behind, is refused: the run has gone on to other blocks.
   */
  private final class Intake implements ReadSink {
    private final Fetch of = fetch;

    /** Held for each piece, so that the end waits for one that is being taken. */
    private final ReentrantLock lock = new ReentrantLock();

    @GuardedBy("lock")
    private boolean ended;

    /** The thread that gives a piece, if there is one, or gave the last. */
    private volatile @Nullable Thread giver;

    @Override
    public void accept(ByteBuffer piece) throws IOException {
      giver = Thread.currentThread();
      lock.lock();
      try {
        if (ended) {
          throw new IOException("the read that this sink belongs to has ended");
        }
        long came = System.nanoTime();
        if (firstCame == 0) {
          firstCame = came;
        }
        counters.bytesFetched.add(piece.remaining());
        take(piece);
        ownNanos += System.nanoTime() - came;
        // Of what has come, a part of a block at most is lost.
        if (position < expectedEnd && table.isCancelled(of)) {
          throw new Cancelled();
        }
      } finally {
        lock.unlock();
      }
    }

    @Override
    public void onCancel(Runnable abort) {
      Runnable once = new Once(abort);
      lock.lock();
      try {
        if (ended) {
          return;
        }
        of.abort = once;
      } finally {
        lock.unlock();
      }
      if (table.isCancelled(of)) {
        once.run();
      }
    }

    void end() {
      if (!lock.tryLock()) {
        context.waitsFor(giver);
        lock.lock();
        context.waitsFor(null);
      }
      try {
        ended = true;
        of.abort = null;
      } finally {
        lock.unlock();
      }
    }
  }

  /** Runs an action when it is first asked to. */
  private static final class Once extends AtomicBoolean implements Runnable {
    private static final long serialVersionUID = 1L;
    private final transient Runnable action;

    Once(Runnable action) {
      this.action = action;
    }

    @Override
    public void run() {
      if (compareAndSet(false, true)) {
        action.run();
      }
    }
  }

  private void take(ByteBuffer piece) throws IOException {
    if (position + piece.remaining() > expectedEnd) {
      throw new SourceProtocolException(
          "the source gave "
              + (position + piece.remaining() - expectedEnd)
              + " bytes more than asked, past "
              + expectedEnd);
    }
    int blockSize = geometry.blockSizeBytes();
    while (piece.hasRemaining()) {
      int n = piece.remaining();
      boolean last = position + n == geometry.sizeBytes();
      if (staging.position() > 0 || (n < blockSize && !last)) {
        n = Math.min(n, blockSize - staging.position());
        stage(piece, n);
        position += n;
        if (staging.position() == blockSize || position == geometry.sizeBytes()) {
          staging.flip();
          land(staging, position - staging.remaining());
          staging.clear();
        }
        continue;
      }
      n = Math.min(n, Math.max(blockSize, mostLanding));
      if (position + n != geometry.sizeBytes()) {
        n -= n % blockSize;
      }
      int limit = piece.limit();
      piece.limit(piece.position() + n);
      land(piece, position);
      position += n;
      piece.position(piece.limit()).limit(limit);
    }
  }

  private void stage(ByteBuffer piece, int n) {
    int limit = piece.limit();
    staging.put(piece.limit(piece.position() + n));
    piece.limit(limit);
  }

  /** Stores whole blocks and hands them to who waits; leaves the buffer as it was. */
  private void land(ByteBuffer bytes, long start) {
    long from = geometry.blockOf(start);
    long to = geometry.firstBlockAtOrAfter(start + bytes.remaining());
    boolean stored = true;
    for (long block = from; block < to && stored; ) {
      long absent = store.nextNotReady(block, to);
      long end = store.nextReady(absent, to);
      if (absent < end) {
        int base = bytes.position();
        ByteBuffer run = bytes.duplicate();
        run.limit(base + (int) (geometry.endBefore(end) - start));
        run.position(base + (int) (geometry.startOf(absent) - start));
        stored = context.store(writer, absent, run);
      }
      block = end;
    }
    if (!stored) {
      counters.passThroughBytes.add(bytes.remaining());
    }
    touched.clear();
    table.landed(fetch, to, touched);
    for (Fetch.Part part : touched) {
      long partStart = Math.max(start, geometry.startOf(part.from()));
      long partEnd = Math.min(start + bytes.remaining(), geometry.endBefore(part.to()));
      int base = bytes.position();
      ByteBuffer share =
          bytes
              .duplicate()
              .limit(base + (int) (partEnd - start))
              .position(base + (int) (partStart - start));
      try {
        part.read().copy(share, partStart);
      } catch (RuntimeException | Error e) {
        part.read().fail(e); // it changed the buffer it lent; the others are not to blame
      }
      if (part.to() <= to) {
        part.read().partDone();
      }
    }
    if (stored) {
      tellUnasked(from, to);
    }
  }

  /** Tells which of the blocks that landed belong to no part. */
  private void tellUnasked(long from, long to) {
    if (touched.size() > 1) {
      touched.sort(BY_START);
    }
    long at = from;
    for (Fetch.Part part : touched) {
      if (at < part.from()) {
        context.landedUnasked(at, part.from());
      }
      at = Math.max(at, part.to());
    }
    if (at < to) {
      context.landedUnasked(at, to);
    }
  }

  /** Ends a source's read that nobody wants any more. */
  static final class Cancelled extends InterruptedIOException {
    private static final long serialVersionUID = 1L;

    Cancelled() {
      super("nobody waits for this any more");
    }

    @Override
    public Throwable fillInStackTrace() {
      return this;
    }
  }

  /** Whether a failure leaves hope that asking for less would succeed. */
  static boolean mayBePartial(Throwable cause) {
    return !(cause instanceof io.uloop.SourceUnavailableException)
        && !(cause instanceof io.uloop.SourceRefusedException)
        && !(cause instanceof SourceChangedException)
        && !(cause instanceof java.nio.channels.ClosedChannelException);
  }
}
