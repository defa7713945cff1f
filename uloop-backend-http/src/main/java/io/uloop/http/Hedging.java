/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.Closeable;
import java.util.Arrays;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Decides when a slow request is asked of a mirror as well, and pays for it.
 *
 * <p>Slow is: no answer after the 95th percentile of the last 128 waits for an answer. Each byte
 * read earns a twentieth of a byte of extra traffic, and a request is asked twice only if its
 * length has been earned, so hedging never costs more than 5 % (and 1 MiB to begin with).
 *
 * <p><b>Threads:</b> any. Lock: this; nothing blocks under it. Hedges run on threads of their own,
 * at most 4, which end when there was none for 10 seconds.
 */
final class Hedging implements Closeable {

  private static final int WAITS = 128;
  private static final int ENOUGH_WAITS = 20;
  // A wait of less than this is not worth a second request.
  private static final long FLOOR_NANOS = TimeUnit.MILLISECONDS.toNanos(10);
  private static final int THREADS = 4;
  private static final long EARNED_SHARE = 20;
  private static final long FIRST_CREDIT = 1 << 20;
  private static final long MOST_CREDIT = 16 << 20;

  private final long[] waits = new long[WAITS];
  private int count;
  private long slowNanos = Long.MAX_VALUE;
  private long credit = FIRST_CREDIT;
  private final String name;
  private @Nullable ScheduledThreadPoolExecutor executor;
  private int threads;
  private boolean closed;

  Hedging(String name) {
    this.name = name;
  }

  /** Says how long an answer was waited for. */
  synchronized void waited(long nanos) {
    waits[count++ % WAITS] = nanos;
    if (count >= ENOUGH_WAITS && count % 16 == 0) {
      long[] sorted = Arrays.copyOf(waits, Math.min(count, WAITS));
      Arrays.sort(sorted);
      slowNanos = Math.max(FLOOR_NANOS, sorted[sorted.length * 95 / 100]);
    }
  }

  /** Says that bytes were read. */
  synchronized void earned(long bytes) {
    credit = Math.min(MOST_CREDIT, credit + bytes / EARNED_SHARE);
  }

  /** Pays for asking twice; false if that has not been earned. */
  synchronized boolean pay(long bytes) {
    if (bytes > credit) {
      return false;
    }
    credit -= bytes;
    return true;
  }

  /** Runs the task once the wait has become slow; null if it is not known yet what slow is. */
  synchronized @Nullable ScheduledFuture<?> whenSlow(Runnable task) {
    if (slowNanos == Long.MAX_VALUE || closed) {
      return null;
    }
    ScheduledThreadPoolExecutor pool = executor;
    if (pool == null) {
      pool = new ScheduledThreadPoolExecutor(THREADS, this::thread);
      pool.setRemoveOnCancelPolicy(true);
      pool.setKeepAliveTime(10, TimeUnit.SECONDS);
      pool.allowCoreThreadTimeOut(true);
      executor = pool;
    }
    return pool.schedule(task, slowNanos, TimeUnit.NANOSECONDS);
  }

  private synchronized Thread thread(Runnable body) {
    Thread thread = new Thread(body, name + "-hedge-" + ++threads);
    thread.setDaemon(true);
    return thread;
  }

  @Override
  public synchronized void close() {
    closed = true;
    if (executor != null) {
      executor.shutdownNow();
    }
  }
}
