/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * One request under way, as those see it who may end it from outside: the {@link Watchdog} and
 * {@link RangeRead#cancel}.
 *
 * <p>Its thread waits for a connection of the pool, then for the server to take it, then for what
 * comes over it; each time it says here how that wait is ended.
 *
 * <p><b>Threads:</b> {@link #enter} and {@link #leave} belong to the thread that runs the request,
 * the rest is for any. Lock: this; nothing is called under it that waits for others, as an
 * immediate close only closes the descriptor and waits until the thread that is in the socket has
 * been woken.
 */
final class Attempt {

  /** Ends a wait, from any thread; called at most once. */
  @FunctionalInterface
  interface Ending {
    void end();
  }

  /** The reason if the limit has come. */
  static final String TIMED_OUT = "timed out";

  private @Nullable Ending ending;
  private @Nullable String aborted;
  private boolean outOfTime;
  private long limitNanos;

  /**
   * Makes one.
   *
   * @param limitNanos when the {@link Watchdog} ends it, on the clock of System.nanoTime
   */
  Attempt(long limitNanos) {
    this.limitNanos = limitNanos;
  }

  /**
   * Sets a new limit. What had only run out of time may go on, with another connection; what was
   * ended for another reason stays so.
   */
  synchronized void limitNanos(long limit) {
    limitNanos = limit;
    if (outOfTime && limit - System.nanoTime() > 0) {
      outOfTime = false;
      aborted = null;
    }
  }

  /** Ends the request if its limit has come. */
  synchronized void expire(long now) {
    if (aborted == null && limitNanos - now <= 0) {
      abort(TIMED_OUT);
      outOfTime = true;
    }
  }

  /**
   * Says how what begins now is ended.
   *
   * @throws IOException if the request was ended before; so is this then
   */
  synchronized void enter(Ending how) throws IOException {
    if (aborted != null) {
      how.end();
      throw new IOException(aborted);
    }
    ending = how;
  }

  /** Says that the connection is used no more, so that it is safe from {@link #abort}. */
  synchronized void leave() {
    ending = null;
  }

  /** Ends the request; the first reason stays, but for time. */
  synchronized void abort(String reason) {
    if (aborted == null || outOfTime) {
      outOfTime = false;
      aborted = reason;
      Ending now = ending;
      ending = null;
      if (now != null) {
        now.end();
      }
    }
  }

  /** Gives when the {@link Watchdog} ends it. */
  synchronized long limitNanos() {
    return limitNanos;
  }

  /** Gives why the request was ended from outside, if it was. */
  synchronized @Nullable String aborted() {
    return aborted;
  }
}
