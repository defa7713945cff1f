/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.lang.System.Logger.Level;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;

/**
 * The threads that run fetches; as many as there is work for, up to the source's parallelism.
 *
 * <p>A worker that finds nothing to do for {@link #IDLE_SECONDS} ends, so an idle device has none.
 * Workers are never interrupted (an interrupt would close the cache file's channel); closing the
 * table ends them, and {@link #awaitEnd} waits for that.
 */
final class Fetcher {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final long IDLE_SECONDS = 20;
  private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

  /** Runs one fetch to its end, whatever that is. */
  interface Runner {
    void run(Fetch fetch);
  }

  private final FetchTable table;
  private final java.util.function.Supplier<Runner> runners;
  private final ThreadFactory factory;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition ended = lock.newCondition();

  @GuardedBy("lock")
  private final Set<Thread> threads = new HashSet<>();

  /** Whether the last thread that was to be started could not be; it is said once. */
  @GuardedBy("lock")
  private boolean refused;

  /**
   * Makes a pool without threads.
   *
   * @param runners makes what a worker runs its fetches with
   * @param factory makes the threads
   */
  Fetcher(FetchTable table, java.util.function.Supplier<Runner> runners, ThreadFactory factory) {
    this.table = table;
    this.runners = runners;
    this.factory = factory;
  }

  /** Makes threads named {@code uloop-fetch-<name>-<n>}. */
  static ThreadFactory threads(String name) {
    AtomicLong made = new AtomicLong();
    return work -> {
      Thread thread = new Thread(work, "uloop-fetch-" + name + "-" + made.incrementAndGet());
      thread.setDaemon(true);
      return thread;
    };
  }

  /**
   * Starts workers while there is work that nobody is free to take.
   *
   * @throws OutOfMemoryError if the system allows no thread, and no worker is there
   */
  void wake() {
    OutOfMemoryError refusal = null;
    lock.lock();
    try {
      while (table.callsWorker(threads.size())) {
        Thread thread = factory.newThread(this::work);
        try {
          thread.start();
          threads.add(thread);
          refused = false;
        } catch (OutOfMemoryError e) { // also for want of anything else that a thread needs
          table.workerIsLost();
          if (threads.isEmpty()) {
            throw e;
          }
          refusal = refused ? null : e;
          refused = true;
          break;
        }
      }
    } finally {
      lock.unlock();
    }
    if (refusal != null) {
      LOG.log(Level.WARNING, "fetches have fewer threads than they could use", refusal);
    }
  }

  private Runner newRunner() {
    try {
      return runners.get();
    } catch (RuntimeException | Error e) {
      table.workerIsLost();
      throw e;
    }
  }

  private void work() {
    boolean comes = true;
    boolean leaves = false;
    try {
      Runner runner = newRunner();
      while (!leaves) {
        for (Fetch fetch; (fetch = table.take(IDLE_SECONDS, TimeUnit.SECONDS, comes)) != null; ) {
          comes = false;
          runner.run(fetch);
        }
        comes = false;
        leaves = leave(false);
      }
    } catch (InterruptedException e) {
      LOG.log(Level.WARNING, "a fetch worker was interrupted and ends", e);
    } finally {
      if (!leaves) {
        leave(true);
      }
    }
  }

  /**
   * Ends this worker, and starts another if work came just now.
   *
   * @param whatever whether it ends also if that one cannot be started
   * @return whether it ends
   */
  private boolean leave(boolean whatever) {
    lock.lock();
    try {
      threads.remove(Thread.currentThread());
      try {
        wake();
      } catch (OutOfMemoryError e) {
        if (!whatever) {
          threads.add(Thread.currentThread());
          return false;
        }
        LOG.log(Level.WARNING, "no thread for the fetches that are left", e);
      }
      ended.signalAll();
      return true;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Waits until all workers have ended; the table must be closed.
   *
   * @param harmless those that need not be waited for, as they are where they store nothing
   * @return whether they have
   */
  boolean awaitEnd(long timeout, TimeUnit unit, Predicate<Thread> harmless) {
    boolean interrupted = false;
    lock.lock();
    try {
      long nanos = unit.toNanos(timeout);
      while (!threads.stream().allMatch(harmless)) {
        if (threads.contains(Thread.currentThread())) {
          return true; // closed from a completion: that worker ends after us
        }
        if (nanos <= 0) {
          return false;
        }
        try {
          // Nobody signals that one has become harmless.
          nanos -= LOOK_NANOS - ended.awaitNanos(Math.min(LOOK_NANOS, nanos));
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      return true;
    } finally {
      lock.unlock();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
