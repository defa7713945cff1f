/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.net.Socket;
import org.apache.hc.client5.http.io.ConnectionEndpoint;
import org.apache.hc.core5.io.CloseMode;
import org.apache.hc.core5.io.Closer;
import org.jspecify.annotations.Nullable;

/**
 * One request under way, as those see it who may end it from outside: the {@link Watchdog} and
 * {@link RangeRead#cancel}.
 *
 * <p>Ending it closes its connection, which wakes the thread that is blocked in it.
 *
 * <p><b>Threads:</b> {@link #attach} and {@link #detach} belong to the thread that runs the
 * request, and so does {@link #opened}; the rest is for any thread. Lock: this; nothing is called
 * under it that waits for others, as an immediate close only closes the descriptor and waits until
 * the thread that is in the socket has been woken.
 */
final class Attempt {

  private @Nullable ConnectionEndpoint endpoint;
  private @Nullable Socket socket;
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
      abort("timed out");
      outOfTime = true;
    }
  }

  /** Says on which connection the request runs now. */
  synchronized void attach(ConnectionEndpoint connection) throws IOException {
    if (aborted != null) {
      connection.close(CloseMode.IMMEDIATE);
      throw new IOException(aborted);
    }
    endpoint = connection;
  }

  /**
   * Says that a socket was made for the connection. HttpClient looks up names and goes from address
   * to address also when its connection was closed meanwhile, and then forgets the socket.
   *
   * @throws IOException if the request was ended before; the socket is closed
   */
  synchronized void opened(Socket made) throws IOException {
    if (aborted != null) {
      made.close();
      throw new IOException(aborted);
    }
    socket = made;
  }

  /** Says that the connection is used no more, so that it is safe from {@link #abort}. */
  synchronized void detach() {
    endpoint = null;
    socket = null;
  }

  /** Ends the request; the first reason stays, but for time. */
  synchronized void abort(String reason) {
    if (aborted == null || outOfTime) {
      outOfTime = false;
      aborted = reason;
      if (endpoint != null) {
        endpoint.close(CloseMode.IMMEDIATE);
      }
      Closer.closeQuietly(socket);
    }
  }

  /** Gives why the request was ended from outside, if it was. */
  synchronized @Nullable String aborted() {
    return aborted;
  }
}
