/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The fetching of all that is absent, under way.
 *
 * <p>Walks the image from its beginning and reads what is absent in the background, a few pieces at
 * a time; a reader's demand goes first. A source that is unavailable, and a cache volume that is
 * full or failing, is tried again every few seconds; any other failure ends the work. So does a
 * bounded cache that would have to evict for more.
 *
 * <p><b>Threads:</b> any; one thread of its own, {@code uloop-fill-<name>}.
 *
 * @since 0.1
 */
public final class BackgroundFill {

  private static final int PIECE_BYTES = 1 << 20;

  /** With less room than this a bounded cache is full. */
  private static final int LEAST_BYTES = 64 << 10;

  private static final long RETRY_NANOS = TimeUnit.SECONDS.toNanos(3);
  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long MOST_CREDIT_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Geometry geometry;
  private final BlockStore store;
  private final MissPath misses;
  private final long bytesPerSecond;
  private final int fetches;
  private final Semaphore slots;

  /** Bytes that are being fetched. */
  private final AtomicLong underWay = new AtomicLong();

  private final BooleanSupplier deviceClosed;
  private final CountDownLatch ended = new CountDownLatch(1);
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile boolean cancelled;
  private volatile boolean sourceDown;
  private volatile @Nullable Thread thread;

  // The fill's own thread's.

  /** Whether this walk had to wait for source or volume, so that another may come further. */
  private boolean waitedInVain;

  /** Whether more would have the cache evict something. */
  private boolean full;

  BackgroundFill(
      Geometry geometry,
      BlockStore store,
      MissPath misses,
      long bytesPerSecond,
      int fetches,
      BooleanSupplier deviceClosed) {
    if (bytesPerSecond < 1 || fetches < 1) {
      throw new IllegalArgumentException(
          "less than one: bytesPerSecond=" + bytesPerSecond + " fetches=" + fetches);
    }
    this.geometry = geometry;
    this.store = store;
    this.misses = misses;
    this.bytesPerSecond = bytesPerSecond;
    this.fetches = fetches;
    this.slots = new Semaphore(fetches);
    this.deviceClosed = deviceClosed;
  }

  void start(String name) {
    Thread started = new Thread(this::run, name);
    started.setDaemon(true);
    thread = started;
    started.start();
  }

  private void run() {
    try {
      long before;
      do {
        before = store.presentBlocks();
        waitedInVain = false;
        walk();
        slots.acquireUninterruptibly(fetches); // what is under way
        slots.release(fetches);
        // Blocks may have been evicted behind the walk, or could not be stored.
      } while (!store.complete()
          && !stopped()
          && !full
          && (waitedInVain || sourceDown || store.presentBlocks() > before));
    } finally {
      ended.countDown();
    }
  }

  private boolean stopped() {
    return cancelled || failure.get() != null || deviceClosed.getAsBoolean();
  }

  /** Goes through the image once, or until the cache is full. */
  private void walk() {
    long blocks = geometry.blocks();
    long due = System.nanoTime();
    long block = 0;
    while ((block = store.present().nextClear(block, blocks)) < blocks && !stopped()) {
      long from = geometry.startOf(block);
      long gridEnd = (from / PIECE_BYTES + 1) * PIECE_BYTES;
      long last =
          store.present().nextSet(block, Math.min(blocks, geometry.firstBlockAtOrAfter(gridEnd)));
      long to = geometry.endBefore(last);
      slots.acquireUninterruptibly();
      if (sourceDown || misses.volumeIsFailing()) {
        sourceDown = false;
        waitedInVain = true;
        pauseUntil(System.nanoTime() + RETRY_NANOS);
      }
      long room = room(to - from);
      if (room < to - from) {
        full = room < Math.max(LEAST_BYTES, geometry.blockSizeBytes());
        last = geometry.blockOf(from + room);
        to = geometry.startOf(last);
      }
      if (full || stopped()) {
        slots.release();
        return;
      }
      fetch(from, (int) (to - from));
      // What was not used of the rate, while there was something to wait for, is not made up for.
      long earliest = System.nanoTime() - MOST_CREDIT_NANOS;
      due = Math.max(due, earliest) + (long) ((to - from) / (double) bytesPerSecond * 1e9);
      pauseUntil(due);
      block = last;
    }
  }

  /** How much the limit leaves room for; with too little, what is under way is waited for. */
  private long room(long wanted) {
    long room = misses.roomToFill() - underWay.get();
    if (room < wanted && fetches > 1) {
      slots.acquireUninterruptibly(fetches - 1); // all but ours
      slots.release(fetches - 1);
      room = misses.roomToFill(); // it may have been zeroes
    }
    return room;
  }

  /** Waits; not for long once this is to stop, of which nobody but {@link #cancel} tells. */
  private void pauseUntil(long nanoTime) {
    for (long left; (left = nanoTime - System.nanoTime()) > 0 && !stopped(); ) {
      LockSupport.parkNanos(this, Math.min(left, LOOK_NANOS));
    }
  }

  private void fetch(long from, int length) {
    ByteBuffer unused = ByteBuffer.allocate(length);
    underWay.addAndGet(length);
    misses.submitInBackground(
        new PendingRead(
            from,
            unused,
            cause -> {
              if (cause instanceof SourceUnavailableException) {
                sourceDown = true;
              } else if (cause != null) {
                failure.compareAndSet(null, cause);
              }
              underWay.addAndGet(-length);
              slots.release();
            }));
  }

  /**
   * Stops; what is under way still lands. Returns at once.
   *
   * <p>Idempotent.
   */
  public void cancel() {
    cancelled = true;
    LockSupport.unpark(thread);
  }

  /**
   * Waits until all is present, the limit of a bounded cache is near, or the work was cancelled or
   * ended with the device.
   *
   * @return whether all was present when it ended
   * @throws InterruptedException if the thread is interrupted; the work goes on
   * @throws IOException why it ended, if a fetch failed for good
   */
  public boolean await() throws InterruptedException, IOException {
    ended.await();
    Throwable cause = failure.get();
    if (cause != null && !deviceClosed.getAsBoolean()) {
      throw new IOException("fill ended: " + cause.getMessage(), cause);
    }
    return store.complete();
  }
}
