/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import io.uloop.http.Connections.Lease;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.SocketTimeoutException;
import java.security.GeneralSecurityException;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLHandshakeException;
import javax.net.ssl.SSLPeerUnverifiedException;
import org.apache.hc.client5.http.ConnectTimeoutException;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpException;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.MessageConstraintException;
import org.apache.hc.core5.http.impl.DefaultConnectionReuseStrategy;
import org.apache.hc.core5.http.message.BasicClassicHttpRequest;
import org.apache.hc.core5.http.protocol.HttpCoreContext;
import org.jspecify.annotations.Nullable;

/**
 * Sends requests over pooled connections and reads the heads of the answers.
 *
 * <p>It stands on HttpClient's connection manager and HTTP/1.1 message layer, without the client
 * above them: that one brings redirects, retries, cookies, authentication caches and decompression,
 * each of which this source must do otherwise or not at all, and costs classes at start and work
 * per request.
 *
 * <p><b>Threads:</b> any; what they share are the {@link Connections}.
 */
final class Transport {

  // How many connections in a row may turn out to be closed before that counts as a failure.
  private static final int MOST_STALE = 3;

  /** What went wrong is between us and the proxy. */
  private static final class ProxyFailure extends IOException {
    private static final long serialVersionUID = 1L;
    private final IOException told;

    private ProxyFailure(IOException told) {
      super(told);
      this.told = told;
    }
  }

  private final Connections connections;
  private final long connectMillis;
  private final long answerMillis;

  /**
   * Makes one.
   *
   * @param connections what it sends over; the caller's
   * @param config the times
   */
  Transport(Connections connections, HttpSettings config) {
    this.connections = connections;
    this.connectMillis = TimeUnit.NANOSECONDS.toMillis(config.connectNanos());
    this.answerMillis = TimeUnit.NANOSECONDS.toMillis(config.answerNanos());
  }

  /**
   * Sends a request and reads the head of its answer.
   *
   * @param place where to
   * @param method GET or HEAD
   * @param range the value of the Range header, if one is wanted
   * @param attempt through which the request can be ended from outside
   * @return the exchange; the caller ends it
   * @throws AttemptFailure if there is no answer
   * @throws InterruptedIOException if the thread was interrupted while it waited for a connection
   */
  Exchange send(Place place, String method, @Nullable String range, Attempt attempt)
      throws AttemptFailure, InterruptedIOException {
    for (int tries = 1; ; tries++) {
      Exchange exchange = sendOnce(place, method, range, attempt, tries < MOST_STALE);
      if (exchange != null) {
        return exchange;
      }
      // The server, or a proxy, closed a connection while it was idle: the others will be no
      // better.
      connections.closeIdle();
    }
  }

  /**
   * Sends a request; null if {@code maybeStale} and the connection was an old one that is closed.
   */
  private @Nullable Exchange sendOnce(
      Place place, String method, @Nullable String range, Attempt attempt, boolean maybeStale)
      throws AttemptFailure, InterruptedIOException {
    Lease lease = connections.lease(place.route(), attempt);
    boolean reused = false;
    try {
      reused = lease.isConnected();
      HttpCoreContext context = HttpCoreContext.create();
      if (!reused) {
        connect(lease, place, context);
      }
      lease.socketTimeout(answerMillis);
      BasicClassicHttpRequest request = request(place, method, range, attempt);
      ClassicHttpResponse response = connections.execute(lease, request, context);
      boolean keepAlive =
          DefaultConnectionReuseStrategy.INSTANCE.keepAlive(request, response, context);
      Exchange exchange = new Exchange(connections, lease, response, keepAlive);
      lease = null;
      return exchange;
    } catch (MessageConstraintException e) {
      throw new AttemptFailure(Kind.PROTOCOL, "the head of the answer is too large", e);
    } catch (IOException e) {
      String aborted = attempt.aborted();
      if (aborted != null) {
        String whose = aborted.equals(Attempt.TIMED_OUT) ? whose(place, e) : "";
        throw new AttemptFailure(Kind.UNREACHABLE, whose + aborted, e);
      } else if (reused && maybeStale && !(e instanceof SocketTimeoutException)) {
        return null;
      }
      throw connectionFailure(place, e);
    } catch (IllegalStateException e) {
      // HttpClient's way to say that a connection was closed by another thread.
      String aborted = attempt.aborted();
      throw new AttemptFailure(Kind.UNREACHABLE, aborted != null ? aborted : "closed", e);
    } catch (PromptConnection.Contradiction e) {
      throw new AttemptFailure(Kind.PROTOCOL, String.valueOf(e.getMessage()), e);
    } catch (HttpException e) {
      throw new AttemptFailure(
          Kind.PROTOCOL,
          "not an HTTP answer: " + Text.printable(String.valueOf(e.getMessage())),
          e);
    } finally {
      if (lease != null) {
        connections.drop(lease);
      }
    }
  }

  private void connect(Lease lease, Place place, HttpCoreContext context)
      throws IOException, HttpException, AttemptFailure {
    try {
      connectPlain(lease, place, context);
    } catch (IOException e) {
      throw place.route().getProxyHost() != null ? new ProxyFailure(e) : e;
    }
    if (place.route().isTunnelled()) {
      connections.upgrade(lease, context);
    }
  }

  /** Connects to the server, or to the proxy, and then through that if TLS is to follow. */
  private void connectPlain(Lease lease, Place place, HttpCoreContext context)
      throws IOException, HttpException, AttemptFailure {
    connections.connect(lease, place.route(), context);
    if (!place.route().isTunnelled()) {
      return;
    }
    // RFC 9110, section 9.3.6: the proxy makes a tunnel, TLS goes through it.
    lease.socketTimeout(connectMillis);
    String authority = place.url().host() + ":" + place.url().port();
    if (place.url().host().indexOf(':') >= 0) {
      authority = "[" + place.url().host() + "]:" + place.url().port();
    }
    BasicClassicHttpRequest request =
        new BasicClassicHttpRequest("CONNECT", place.route().getProxyHost(), authority);
    request.addHeader("Host", authority);
    place.proxyHeaders().forEach(request::addHeader);
    ClassicHttpResponse response = connections.execute(lease, request, context);
    int status = response.getCode();
    if (status / 100 != 2) {
      throw new AttemptFailure(
          status >= 500 ? Kind.UNREACHABLE : Kind.REFUSED,
          "the proxy answered " + status + " to CONNECT");
    }
  }

  // Names the proxy if what failed is the connection to it rather than one through it.
  private static String whose(Place place, IOException e) {
    HttpHost proxy = place.route().getProxyHost();
    return proxy != null && (place.absoluteForm() || e instanceof ProxyFailure)
        ? "proxy " + proxy.toHostString() + ": "
        : "";
  }

  private static AttemptFailure connectionFailure(Place place, IOException e) {
    if (!(e instanceof SSLException)) {
      IOException told = e instanceof ProxyFailure failure ? failure.told : e;
      String what =
          told instanceof ConnectTimeoutException
              ? "cannot connect: timed out"
              : Text.ofFailure(told);
      return new AttemptFailure(Kind.UNREACHABLE, whose(place, e) + what, told);
    }
    // A certificate that is not trusted now will not be in a second either.
    boolean distrust =
        e instanceof SSLPeerUnverifiedException
            || (e instanceof SSLHandshakeException
                && e.getCause() instanceof GeneralSecurityException);
    return new AttemptFailure(
        distrust ? Kind.REFUSED : Kind.UNREACHABLE,
        "TLS: " + Text.printable(String.valueOf(e.getMessage())),
        e);
  }

  private static BasicClassicHttpRequest request(
      Place place, String method, @Nullable String range, Attempt attempt) {
    BasicClassicHttpRequest request =
        new BasicClassicHttpRequest(
            method,
            place.route().getTargetHost(),
            place.absoluteForm() ? place.url().toString() : place.url().target());
    for (Header header : place.headers()) {
      request.addHeader(header);
    }
    for (Header header : place.signer().sign(method, place.url(), attempt.limitNanos())) {
      request.addHeader(header);
    }
    if (range != null) {
      request.addHeader("Range", range);
    }
    return request;
  }
}
