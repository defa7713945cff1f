/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.Closeable;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Ends requests that outlive their limit, whatever they are blocked in, or the source; and idle
 * connections.
 *
 * <p>Socket timeouts do not bound a request: a server that sends one byte of a header now and then
 * resets them for ever. One thread per source looks at the requests under way ten times a second;
 * without requests it looks after idle connections every few seconds, and then it ends. This costs
 * a read two short critical sections, where a timer per request would cost a heap operation and
 * often a wake-up.
 *
 * <p>Lock: {@link #lock} guards all fields. Under it nothing blocks; requests are ended outside it.
 */
final class Watchdog implements Closeable {

  private static final String CLOSED = "closed";
  private static final long TICK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long IDLE_TICK_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition wake = lock.newCondition();
  private final Set<Attempt> underWay = new HashSet<>();
  private final IdleConnections idle;
  private final String name;
  private @Nullable Thread thread;
  private boolean idling;
  private boolean closed;

  /** What has connections that nobody uses. */
  @FunctionalInterface
  interface IdleConnections {
    /** Closes those that were idle for long, and tells whether there are any left. */
    boolean closeOld();
  }

  Watchdog(String name, IdleConnections idle) {
    this.name = name;
    this.idle = idle;
  }

  /** Takes a request under its eyes; after {@link #close} it is ended at once. */
  void add(Attempt attempt) {
    boolean late;
    lock.lock();
    try {
      late = closed;
      underWay.add(attempt);
      if (thread == null && !closed) {
        Thread started = new Thread(this::run, name);
        started.setDaemon(true);
        started.start();
        thread = started;
      } else if (idling) {
        idling = false;
        wake.signal();
      }
    } finally {
      lock.unlock();
    }
    if (late) {
      attempt.abort(CLOSED);
    }
  }

  void remove(Attempt attempt) {
    lock.lock();
    try {
      underWay.remove(attempt);
    } finally {
      lock.unlock();
    }
  }

  private void run() {
    while (true) {
      Attempt[] attempts;
      lock.lock();
      try {
        attempts = underWay.toArray(Attempt[]::new);
        if (closed) {
          return;
        }
      } finally {
        lock.unlock();
      }
      long now = System.nanoTime();
      for (Attempt attempt : attempts) {
        attempt.expire(now);
      }
      boolean anyIdle = attempts.length > 0 || idle.closeOld();
      lock.lock();
      try {
        if (closed || (!anyIdle && underWay.isEmpty())) {
          thread = null;
          return;
        }
        if (underWay.isEmpty()) {
          idling = true;
        }
        await(idling ? IDLE_TICK_NANOS : TICK_NANOS);
        idling = false;
      } finally {
        lock.unlock();
      }
    }
  }

  @SuppressWarnings("WaitNotInLoop") // the loop is run(); an early wake-up only makes it look once
  private void await(long nanos) {
    try {
      wake.awaitNanos(nanos);
    } catch (InterruptedException e) {
      // Nobody but this class knows the thread; an interrupt means nothing to it.
      return;
    }
  }

  /** Ends all requests, and the thread soon, without waiting for it. */
  @Override
  public void close() {
    Attempt[] attempts;
    lock.lock();
    try {
      closed = true;
      attempts = underWay.toArray(Attempt[]::new);
      wake.signal();
    } finally {
      lock.unlock();
    }
    for (Attempt attempt : attempts) {
      attempt.abort(CLOSED);
    }
  }
}
