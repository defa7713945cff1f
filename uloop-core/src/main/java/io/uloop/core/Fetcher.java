/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

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

  /** Runs one fetch to its end, whatever that is. */
  interface Runner {
    void run(Fetch fetch);
  }

  private final FetchTable table;
  private final java.util.function.Supplier<Runner> runners;
  private final String name;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition ended = lock.newCondition();

  @GuardedBy("lock")
  private final Set<Thread> threads = new HashSet<>();

  @GuardedBy("lock")
  private long started;

  /**
   * Makes a pool without threads.
   *
   * @param runners makes what a worker runs its fetches with
   * @param name for the threads, {@code uloop-fetch-<name>-<n>}
   */
  Fetcher(FetchTable table, java.util.function.Supplier<Runner> runners, String name) {
    this.table = table;
    this.runners = runners;
    this.name = name;
  }

  /** Starts a worker if there is work that nobody is free to take. */
  void wake() {
    while (table.wantsWorker(size())) {
      Thread thread;
      lock.lock();
      try {
        thread = new Thread(this::work, "uloop-fetch-" + name + "-" + ++started);
        thread.setDaemon(true);
        threads.add(thread);
      } finally {
        lock.unlock();
      }
      thread.start();
      if (!table.wantsWorker(size())) {
        return;
      }
    }
  }

  private int size() {
    lock.lock();
    try {
      return threads.size();
    } finally {
      lock.unlock();
    }
  }

  private void work() {
    try {
      Runner runner = runners.get();
      for (Fetch fetch; (fetch = table.take(IDLE_SECONDS, TimeUnit.SECONDS)) != null; ) {
        runner.run(fetch);
      }
    } catch (InterruptedException e) {
      LOG.log(Level.WARNING, "a fetch worker was interrupted and ends", e);
    } finally {
      lock.lock();
      try {
        threads.remove(Thread.currentThread());
        ended.signalAll();
      } finally {
        lock.unlock();
      }
      wake(); // work that came between the last look and the end
    }
  }

  /** Waits until all workers have ended; the table must be closed. */
  void awaitEnd(long timeout, TimeUnit unit) throws IOException {
    boolean interrupted = false;
    lock.lock();
    try {
      long nanos = unit.toNanos(timeout);
      while (!threads.isEmpty()) {
        if (threads.contains(Thread.currentThread())) {
          return; // closed from a completion: that worker ends after us
        }
        if (nanos <= 0) {
          throw new IOException(
              threads.size() + " fetches did not end within " + timeout + " " + unit);
        }
        try {
          nanos = ended.awaitNanos(nanos);
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    } finally {
      lock.unlock();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
