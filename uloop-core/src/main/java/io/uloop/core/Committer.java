/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Makes bits durable, and never before their data.
 *
 * <p>One round, always in this order:
 *
 * <ol>
 *   <li>for each dirty page: its flag cleared, then its bits copied. Whoever sets a bit later finds
 *       the flag cleared and sets it again, so the bit goes to the next round;
 *   <li>cache file and checksums forced: the data of every bit copied is durable;
 *   <li>the copied pages written to the bitmap file, which is forced.
 * </ol>
 *
 * <p>Rounds are run by one thread, {@code uloop-commit-<name>}, at least once a second while there
 * is something to commit, when much has been stored since the last, and at once for {@link #flush}.
 * Marking a block costs two flags.
 *
 * <p>Much, as a force of hundreds of megabytes holds up who stores: ext4 gives blocks to them under
 * the inode's lock, may have to read a block bitmap for that, and this waits behind all the data
 * that it has just sent to the disk.
 *
 * <p><b>Failures.</b> If forcing data fails, it is unknown what reached the disk (and the kernel
 * may report it only once); so the bits of that round that are not yet on disk are withdrawn, and
 * their blocks fetched again when they are read. If writing the bitmap fails, the pages stay dirty.
 */
final class Committer {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  /** What is done after each round that went well. */
  interface AfterCommit {
    /**
     * Runs on the committer's thread.
     *
     * @param commit commits once more what has changed meanwhile
     */
    void run(Evictor.Commit commit);
  }

  private final PairFiles files;
  private final AfterCommit afterCommit;
  private final long intervalNanos;
  private final long mostBytes;
  private final String name;
  private final ByteBuffer scratch = ByteBuffer.allocateDirect(PagedBits.PAGE_BYTES);
  private final AtomicBoolean dirty = new AtomicBoolean();

  /** Bytes stored since the last round began. */
  private final AtomicLong stored = new AtomicLong();

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition roundEnded = lock.newCondition();

  @GuardedBy("lock")
  private long roundsBegun;

  @GuardedBy("lock")
  private long roundsEnded;

  @GuardedBy("lock")
  private long roundsWanted;

  /** The last failure, and the round that it ended. */
  @GuardedBy("lock")
  private @Nullable IOException failure;

  @GuardedBy("lock")
  private long roundFailed;

  @GuardedBy("lock")
  private @Nullable Thread thread;

  @GuardedBy("lock")
  private boolean closing;

  // Set once, before the thread starts.
  private @Nullable BlockStore store;
  private volatile @Nullable Thread wakeable;
  private volatile boolean hurried;

  /**
   * Makes a committer that does nothing yet.
   *
   * @param intervalNanos the longest that a bit waits while all goes well
   * @param mostBytes so much stored asks for a round
   * @param afterCommit run on the committer's thread after a round that went well
   */
  Committer(
      PairFiles files, long intervalNanos, long mostBytes, String name, AfterCommit afterCommit) {
    this.mostBytes = mostBytes;
    this.afterCommit = afterCommit;
    this.files = files;
    this.intervalNanos = intervalNanos;
    this.name = name;
  }

  /** Begins to commit a store's bits. */
  void start(BlockStore committed) {
    lock.lock();
    try {
      store = committed;
      Thread started = new Thread(this::run, "uloop-commit-" + name);
      started.setDaemon(true);
      thread = started;
      wakeable = started;
      started.start();
    } finally {
      lock.unlock();
    }
  }

  /** Says that there is something to commit; cheap, any thread. */
  void markDirty() {
    if (!dirty.get() && dirty.compareAndSet(false, true)) {
      LockSupport.unpark(wakeable);
    }
  }

  /** Takes note of bytes that were stored; any thread. */
  void stored(long bytes) {
    long now = stored.addAndGet(bytes);
    if (now >= mostBytes && now - bytes < mostBytes) {
      hurry();
    }
  }

  /** Asks for a round now, without waiting for it. */
  void hurry() {
    hurried = true;
    LockSupport.unpark(wakeable);
  }

  private void run() {
    long lastRound = System.nanoTime() - intervalNanos;
    while (true) {
      boolean wanted;
      lock.lock();
      try {
        wanted = roundsWanted > roundsBegun || hurried;
        if (closing && roundsWanted <= roundsBegun) {
          return;
        }
      } finally {
        lock.unlock();
      }
      long due = lastRound + intervalNanos - System.nanoTime();
      if (wanted || (dirty.get() && due <= 0)) {
        lastRound = System.nanoTime();
        hurried = false;
        round();
      } else if (dirty.get()) {
        LockSupport.parkNanos(this, due);
      } else {
        LockSupport.park(this);
      }
    }
  }

  private void round() {
    lock.lock();
    try {
      roundsBegun++;
    } finally {
      lock.unlock();
    }
    IOException failed = null;
    try {
      commit();
      afterCommit.run(this::commit);
    } catch (IOException e) {
      failed = e;
      LOG.log(Level.WARNING, "commit failed: {0}", e.getMessage());
    } catch (Throwable e) {
      // The thread must live on, or every flush would wait for ever.
      failed = new IOException("commit failed: " + e, e);
      LOG.log(Level.ERROR, "commit failed", e);
    }
    lock.lock();
    try {
      roundsEnded++;
      if (failed != null) {
        failure = failed;
        roundFailed = roundsEnded;
      }
      roundEnded.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private void commit() throws IOException {
    BlockStore bits = java.util.Objects.requireNonNull(store);
    PagedBits flags = bits.dirtyPages();
    dirty.set(false);
    stored.set(0);
    long length = bits.length(); // before the bits are copied
    List<Integer> pages = new ArrayList<>();
    List<long[]> copies = new ArrayList<>();
    for (long page = 0; (page = flags.nextSet(page, flags.bits())) < flags.bits(); page++) {
      flags.clear(page, page + 1);
      pages.add((int) page);
      copies.add(bits.present().copyOf((int) page));
    }
    if (pages.isEmpty()) {
      extend(bits, length);
      return;
    }
    try {
      bits.data().force();
      Checksums sums = bits.checksums();
      if (sums != null) {
        sums.force();
      }
    } catch (IOException e) {
      // Blocks stored since the flags were cleared may have been written before the force.
      bits.lost();
      for (int page : pages) {
        flags.set(page, page + 1);
      }
      dirty.set(true);
      for (long page = 0; (page = flags.nextSet(page, flags.bits())) < flags.bits(); page++) {
        bits.withdraw((int) page, durable((int) page));
      }
      throw e;
    }
    try {
      for (int i = 0; i < pages.size(); i++) {
        files.writeBitmapPage(pages.get(i), copies.get(i), scratch);
      }
      files.bitmapFile().force();
    } catch (IOException e) {
      for (int page : pages) {
        flags.set(page, page + 1);
      }
      dirty.set(true);
      throw PairFailures.of(files.paths().bitmapFile(), "force", e);
    }
    extend(bits, length);
  }

  private void extend(BlockStore bits, long length) throws IOException {
    boolean extended = !bits.isCut();
    try {
      extended = extended || bits.extend(length);
    } finally {
      if (!extended) {
        dirty.set(true); // so that it is tried again
      }
    }
  }

  /** What the bitmap file says of a page: the bits that were durable before. */
  private long[] durable(int page) {
    try {
      return files.readBitmapPage(page, scratch);
    } catch (IOException e) {
      LOG.log(Level.WARNING, "bitmap page {0} cannot be read: {1}", page, e.getMessage());
      return new long[PagedBits.PAGE_BYTES / 8];
    }
  }

  /** Tells whether a thread is the one that runs the rounds; completions may run there. */
  boolean isOwn(Thread other) {
    return other == wakeable;
  }

  /**
   * Waits until all bits set before this call are durable.
   *
   * @throws IOException if the round that had to do it failed
   */
  void flush() throws IOException {
    if (isOwn(Thread.currentThread())) {
      commit(); // after a round's own, as a completion of what the round put off
      return;
    }
    boolean interrupted = false;
    lock.lock();
    try {
      if (thread == null) {
        return;
      }
      // A round that is running may have copied its bits before ours were set.
      long needed = roundsBegun + 1;
      roundsWanted = Math.max(roundsWanted, needed);
      LockSupport.unpark(thread);
      while (roundsEnded < needed && !(closing && !thread.isAlive())) {
        try {
          roundEnded.await(100, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (failure != null && roundFailed >= needed) {
        throw failure instanceof io.uloop.UloopException known ? known.copy() : failure;
      }
    } finally {
      lock.unlock();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Ends the thread, after the round that runs; what is dirty then stays so. */
  void close() {
    Thread running;
    lock.lock();
    try {
      closing = true;
      running = thread;
    } finally {
      lock.unlock();
    }
    if (running == null || isOwn(Thread.currentThread())) {
      return; // ours ends when it comes back from here
    }
    LockSupport.unpark(running);
    boolean interrupted = false;
    while (running.isAlive()) {
      try {
        running.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
