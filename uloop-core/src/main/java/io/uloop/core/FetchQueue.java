/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import org.jspecify.annotations.Nullable;

/**
 * The fetches that no worker has taken yet, and how many are being run: demand before background,
 * and background never on the last free workers.
 *
 * <p><b>Threads:</b> the lock of the {@link FetchTable} guards everything here.
 */
final class FetchQueue {

  private int workers;
  private int backgroundWorkers;

  /** Of the table's lock; signalled when there may be something to take. */
  private final Condition work;

  private final ArrayDeque<Fetch> demand = new ArrayDeque<>();
  private final ArrayDeque<Fetch> background = new ArrayDeque<>();
  private int running;
  private int runningBackground;

  /** Workers that wait. */
  private int idle;

  /** Workers that were called and have not come yet. */
  private int called;

  private boolean closed;

  /**
   * Makes an empty queue.
   *
   * @param workers how many fetches may run at once
   * @param work a condition of the table's lock
   */
  FetchQueue(int workers, Condition work) {
    this.work = work;
    this.workers = workers;
    this.backgroundWorkers = backgroundOf(workers);
  }

  private static int backgroundOf(int workers) {
    return workers <= 2 ? 1 : workers - 2;
  }

  /** Sets how many fetches may run at once; who runs already is asked by {@link #mayRun}. */
  void limit(int most) {
    workers = most;
    backgroundWorkers = backgroundOf(most);
    work.signalAll();
  }

  int limit() {
    return workers;
  }

  /**
   * Tells whether a fetch that was taken may go on. If too many run, as the limit came down, it is
   * queued again, before all others.
   */
  boolean mayRun(Fetch fetch) {
    if (closed || running <= workers) {
      return true;
    }
    fetch.state = Fetch.State.QUEUED;
    running--;
    runningBackground -= fetch.background ? 1 : 0;
    (fetch.background ? background : demand).addFirst(fetch);
    return false;
  }

  /** Appends a new fetch. */
  void add(Fetch fetch) {
    (fetch.background ? background : demand).add(fetch);
    work.signalAll();
  }

  /** Makes a background fetch demand, as somebody waits for it now; tells whether it is queued. */
  boolean raise(Fetch fetch) {
    if (!fetch.background) {
      return false;
    }
    fetch.background = false;
    boolean queued = fetch.state == Fetch.State.QUEUED;
    if (queued) {
      background.remove(fetch);
      demand.add(fetch);
    } else if (fetch.state == Fetch.State.RUNNING) {
      runningBackground--;
    }
    work.signalAll();
    return queued;
  }

  /** Tells whether demand waits while all workers are busy and one of them with background work. */
  boolean demandIsStuck() {
    return running >= workers && runningBackground > 0 && !demand.isEmpty();
  }

  /** Gives how many background fetches are queued or running. */
  int background() {
    return background.size() + runningBackground;
  }

  /** Gives how many background fetches wait for a worker. */
  int queuedBackground() {
    return background.size();
  }

  /**
   * Calls for a worker if there is work that none of those started is free to take; it comes with
   * its first {@link #take}, or is {@link #lost}.
   */
  boolean callsWorker(int started) {
    int takeable = demand.size() + Math.min(background.size(), freeForBackground());
    boolean calls = !closed && started < workers && idle + called < takeable;
    called += calls ? 1 : 0;
    return calls;
  }

  /** Takes note that a worker that was called will not come. */
  void lost() {
    called--;
  }

  private int freeForBackground() {
    return Math.max(0, backgroundWorkers - runningBackground);
  }

  /**
   * Takes the next fetch, which is running then; waits for one.
   *
   * @param comes whether the worker was called and this is its first
   * @return null if the queue is closed or nothing came in time
   */
  @Nullable Fetch take(long nanos, boolean comes) throws InterruptedException {
    called -= comes ? 1 : 0;
    for (long left = nanos; !closed; ) {
      Fetch fetch = running < workers ? demand.poll() : null;
      if (fetch == null && running < workers && freeForBackground() > 0) {
        fetch = background.poll();
      }
      if (fetch != null) {
        fetch.state = Fetch.State.RUNNING;
        running++;
        runningBackground += fetch.background ? 1 : 0;
        return fetch;
      }
      if (left <= 0) {
        return null;
      }
      idle++;
      try {
        left = work.awaitNanos(left);
      } finally {
        idle--;
      }
    }
    return null;
  }

  /** Takes note that a fetch runs no more. */
  void ended(Fetch fetch) {
    fetch.state = Fetch.State.ENDED;
    running--;
    runningBackground -= fetch.background ? 1 : 0;
    work.signal();
  }

  boolean closed() {
    return closed;
  }

  /** Drops all, takes no more, and wakes the workers, which find nothing from now on. */
  void close() {
    closed = true;
    demand.clear();
    background.clear();
    work.signalAll();
  }

  /** Tells whether the counts agree with the running background fetches that were counted. */
  boolean fits(int runningSeen) {
    return runningSeen <= runningBackground && runningBackground <= running;
  }
}
