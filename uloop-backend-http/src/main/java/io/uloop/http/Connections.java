/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.hc.client5.http.HttpRoute;
import org.apache.hc.client5.http.config.ConnectionConfig;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManager;
import org.apache.hc.client5.http.io.ConnectionEndpoint;
import org.apache.hc.client5.http.io.LeaseRequest;
import org.apache.hc.client5.http.io.ManagedHttpClientConnection;
import org.apache.hc.client5.http.ssl.TlsSocketStrategy;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.HttpException;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.config.Http1Config;
import org.apache.hc.core5.http.impl.io.HttpRequestExecutor;
import org.apache.hc.core5.http.io.SocketConfig;
import org.apache.hc.core5.http.message.BasicClassicHttpRequest;
import org.apache.hc.core5.http.protocol.HttpCoreContext;
import org.apache.hc.core5.io.CloseMode;
import org.apache.hc.core5.pool.PoolConcurrencyPolicy;
import org.apache.hc.core5.pool.PoolReusePolicy;
import org.apache.hc.core5.util.TimeValue;
import org.apache.hc.core5.util.Timeout;
import org.jspecify.annotations.Nullable;

/**
 * The connections of a source: a pool that lends them to {@link Attempt}s.
 *
 * <p>A connection in use belongs to the thread that runs the attempt; others end it through that.
 * HttpClient's pool does not bear to be closed under its users (they meet connections that are
 * null, and where one is just being made it is left open): so the last of them closes it.
 *
 * <p><b>Threads:</b> any. Lock: this, for how many use the pool and whether it is to be closed;
 * nothing is called under it.
 */
final class Connections implements Closeable {

  // A connection idle for longer is not used again: common servers close theirs after 60 s or more,
  // those that do earlier usually say so in a Keep-Alive header.
  private static final TimeValue KEEP_ALIVE = TimeValue.ofSeconds(30);
  // Idle for longer than this, a connection is looked at before it is used; costs one poll.
  private static final TimeValue VALIDATE_AFTER = TimeValue.ofSeconds(2);

  /** What HttpClient reads ahead with a head, so what it may have of the body then. */
  static final int BUFFER_BYTES = 8 * 1024;

  /** A head beyond these limits is an attack or a mistake. */
  static final Http1Config LIMITS =
      Http1Config.custom()
          .setBufferSize(BUFFER_BYTES)
          .setMaxLineLength(16 * 1024)
          .setMaxHeaderCount(200)
          .setMaxEmptyLineCount(4)
          .build();

  private final Connector connector;
  private final PoolingHttpClientConnectionManager pool;
  private final HttpRequestExecutor executor = new HttpRequestExecutor();
  private final long connectMillis;
  private final long answerMillis;
  private int users;
  private boolean closed;

  /** A connection taken from the pool; knows whether it was given back. */
  static final class Lease {
    private final ConnectionEndpoint endpoint;
    private final Attempt attempt;
    private @Nullable ChannelSocket plain;
    private boolean ended;

    private Lease(ConnectionEndpoint endpoint, Attempt attempt) {
      this.endpoint = endpoint;
      this.attempt = attempt;
    }

    /** Gives the socket if what comes from it is the body itself; null if there is TLS. */
    @Nullable ChannelSocket plain() {
      return plain;
    }

    boolean isConnected() {
      return endpoint.isConnected();
    }

    void socketTimeout(long millis) {
      try {
        endpoint.setSocketTimeout(Timeout.ofMilliseconds(millis));
      } catch (IllegalStateException e) {
        // Ended by another thread just now; whoever uses it next is told.
        return;
      }
    }
  }

  /**
   * Makes one; connects to nothing.
   *
   * @param config how many connections at most, and the times
   * @param tls how to begin TLS; asked only when there is a connection that needs it
   */
  Connections(HttpSettings config, TlsSocketStrategy tls) {
    this.connectMillis = TimeUnit.NANOSECONDS.toMillis(config.connectNanos());
    this.answerMillis = TimeUnit.NANOSECONDS.toMillis(config.answerNanos());
    int connections = config.mostConnections();
    connector = new Connector(config.unixSocket());
    pool =
        connector
            .setConnectionFactory(socket -> new PromptConnection(LIMITS))
            .setTlsSocketStrategy(tls)
            .setPoolConcurrencyPolicy(PoolConcurrencyPolicy.STRICT)
            .setConnPoolPolicy(PoolReusePolicy.LIFO)
            .setMaxConnTotal(connections)
            .setMaxConnPerRoute(connections)
            .setDefaultSocketConfig(
                SocketConfig.custom()
                    .setTcpNoDelay(true)
                    .setSoKeepAlive(true)
                    .setSoTimeout(Timeout.ofMilliseconds(answerMillis))
                    .build())
            .setDefaultConnectionConfig(
                ConnectionConfig.custom()
                    .setConnectTimeout(Timeout.ofMilliseconds(connectMillis))
                    .setSocketTimeout(Timeout.ofMilliseconds(answerMillis))
                    .setValidateAfterInactivity(VALIDATE_AFTER)
                    .build())
            .build();
  }

  /**
   * Waits for a connection, which may have to be made yet.
   *
   * @param route where to
   * @param attempt through which the wait, and then the use, can be ended from outside
   * @return the connection; the caller gives it back or drops it
   * @throws AttemptFailure if none becomes free in time, or the attempt was ended
   * @throws InterruptedIOException if the thread was interrupted
   */
  Lease lease(HttpRoute route, Attempt attempt) throws AttemptFailure, InterruptedIOException {
    enter();
    Lease lease = null;
    try {
      LeaseRequest request = pool.lease("", route, Timeout.ofMilliseconds(answerMillis), null);
      lease = new Lease(await(request, attempt), attempt);
      return lease;
    } finally {
      if (lease == null) {
        attempt.leave();
        leave();
      }
    }
  }

  private ConnectionEndpoint await(LeaseRequest request, Attempt attempt)
      throws AttemptFailure, InterruptedIOException {
    try {
      attempt.enter(request::cancel);
      return request.get(Timeout.ofMilliseconds(answerMillis));
    } catch (InterruptedException e) {
      abandon(request);
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while waiting for a connection");
    } catch (TimeoutException e) {
      throw new AttemptFailure(Kind.UNREACHABLE, "no connection became free", e);
    } catch (ExecutionException e) {
      throw new AttemptFailure(Kind.UNREACHABLE, "no connection: " + e.getMessage(), e);
    } catch (IOException | CancellationException e) {
      abandon(request);
      String aborted = attempt.aborted();
      if (aborted == null && Thread.currentThread().isInterrupted()) {
        // HttpClient gives up, without saying why, if the thread comes interrupted.
        throw new InterruptedIOException("interrupted before a connection was asked for");
      }
      throw new AttemptFailure(Kind.UNREACHABLE, aborted != null ? aborted : "cancelled", e);
    }
  }

  /** Lets go of a connection that has come all the same, which HttpClient leaves to the caller. */
  private void abandon(LeaseRequest request) {
    if (!request.cancel()) {
      try {
        ConnectionEndpoint unused = request.get(Timeout.ZERO_MILLISECONDS);
        unused.close(CloseMode.IMMEDIATE);
        pool.release(unused, null, null);
      } catch (InterruptedException
          | ExecutionException
          | TimeoutException
          | CancellationException e) {
        // None has come.
        return;
      }
    }
  }

  private synchronized void enter() throws AttemptFailure {
    if (closed) {
      throw new AttemptFailure(Kind.UNREACHABLE, "closed");
    }
    users++;
  }

  private void leave() {
    boolean over;
    boolean last;
    synchronized (this) {
      users--;
      over = closed;
      last = closed && users == 0;
    }
    if (last) {
      pool.close(CloseMode.IMMEDIATE);
    } else if (over) {
      closeIdle(); // what was given back just now
    }
  }

  /** Connects, to the proxy if there is one; with TLS, unless that goes through a tunnel. */
  void connect(Lease lease, HttpRoute route, HttpCoreContext context) throws IOException {
    HttpHost proxy = route.getProxyHost();
    connector.connecting(
        lease.attempt,
        proxy != null ? proxy : route.getTargetHost(),
        () -> pool.connect(lease.endpoint, TimeValue.ofMilliseconds(connectMillis), context));
  }

  /** Begins TLS, through a tunnel. */
  void upgrade(Lease lease, HttpCoreContext context) throws IOException {
    pool.upgrade(lease.endpoint, context);
  }

  /** Sends a request and reads the head of its answer. */
  ClassicHttpResponse execute(Lease lease, BasicClassicHttpRequest request, HttpCoreContext context)
      throws IOException, HttpException {
    return lease.endpoint.execute(
        "",
        request,
        (sent, connection, within) -> {
          // The connection, not the endpoint, which would forget it at once.
          lease.attempt.enter(() -> connection.close(CloseMode.IMMEDIATE));
          // Nobody else is told which connection the pool gave.
          lease.plain =
              connection instanceof ManagedHttpClientConnection c
                      && c.getSSLSession() == null
                      && c.getSocket() instanceof ChannelSocket socket
                  ? socket
                  : null;
          return executor.execute(sent, connection, within);
        },
        context);
  }

  /** Puts a connection back, its answer read to the end. */
  void giveBack(Lease lease, @Nullable String keepAlive) {
    end(lease, keepAlive(keepAlive));
  }

  /** Closes a connection. */
  void drop(Lease lease) {
    if (!lease.ended) {
      lease.endpoint.close(CloseMode.IMMEDIATE);
      end(lease, null);
    }
  }

  private void end(Lease lease, @Nullable TimeValue keepAlive) {
    if (!lease.ended) {
      lease.ended = true;
      // Before the pool may lend the connection to somebody else, whom an abort must not hit.
      lease.attempt.leave();
      try {
        pool.release(lease.endpoint, null, keepAlive);
      } finally {
        leave();
      }
    }
  }

  // "timeout=5, max=100": a de facto header, RFC 2068 section 19.7.1.1 and common servers since.
  private static TimeValue keepAlive(@Nullable String header) {
    if (header == null) {
      return KEEP_ALIVE;
    }
    for (String part : header.split(",", -1)) {
      String value = part.trim();
      if (value.startsWith("timeout=")) {
        try {
          long seconds = Long.parseLong(value.substring("timeout=".length()).trim());
          // Half a second early, so that it is not sent into a connection that is just closing.
          return TimeValue.ofMilliseconds(
              Math.max(0, Math.min(seconds * 1000 - 500, KEEP_ALIVE.toMilliseconds())));
        } catch (NumberFormatException e) {
          return KEEP_ALIVE;
        }
      }
    }
    return KEEP_ALIVE;
  }

  /** Closes those that nobody uses. */
  void closeIdle() {
    pool.closeIdle(TimeValue.ZERO_MILLISECONDS);
  }

  /** Closes connections that were idle for long, and tells whether there are any left. */
  boolean closeOldIdle() {
    pool.closeExpired();
    pool.closeIdle(KEEP_ALIVE);
    return pool.getTotalStats().getAvailable() > 0;
  }

  /** Counts the requests that have a connection or wait for one. */
  synchronized int leased() {
    return users;
  }

  /** Takes no more requests, and closes all connections once those under way have ended. */
  @Override
  public void close() {
    boolean unused;
    synchronized (this) {
      unused = !closed && users == 0;
      closed = true;
    }
    if (unused) {
      pool.close(CloseMode.IMMEDIATE);
    } else {
      closeIdle();
    }
  }
}
