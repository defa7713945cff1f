/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import org.apache.hc.client5.http.io.ConnectionEndpoint;
import org.apache.hc.core5.io.CloseMode;
import org.jspecify.annotations.Nullable;

/**
 * One request under way, as those see it who may end it from outside: the {@link Watchdog} and
 * {@link RangeRead#cancel}.
 *
 * <p>Ending it closes its connection, which wakes the thread that is blocked in it.
 *
 * <p><b>Threads:</b> {@link #attach} and {@link #detach} belong to the thread that runs the
 * request; the rest is for any thread. Lock: this; nothing that blocks is called under it, as an
 * immediate close only closes the descriptor.
 */
final class Attempt {

  private @Nullable ConnectionEndpoint endpoint;
  private @Nullable String aborted;
  private volatile long limitNanos;

  /**
   * Makes one.
   *
   * @param limitNanos when the {@link Watchdog} ends it, on the clock of System.nanoTime
   */
  Attempt(long limitNanos) {
    this.limitNanos = limitNanos;
  }

  long limitNanos() {
    return limitNanos;
  }

  void limitNanos(long limit) {
    limitNanos = limit;
  }

  /** Says on which connection the request runs now. */
  synchronized void attach(ConnectionEndpoint connection) throws IOException {
    if (aborted != null) {
      connection.close(CloseMode.IMMEDIATE);
      throw new IOException(aborted);
    }
    endpoint = connection;
  }

  /** Says that the connection is used no more, so that it is safe from {@link #abort}. */
  synchronized void detach() {
    endpoint = null;
  }

  /** Ends the request, once; the first reason stays. */
  synchronized void abort(String reason) {
    if (aborted == null) {
      aborted = reason;
      if (endpoint != null) {
        endpoint.close(CloseMode.IMMEDIATE);
      }
    }
  }

  /** Gives why the request was ended from outside, if it was. */
  synchronized @Nullable String aborted() {
    return aborted;
  }
}
