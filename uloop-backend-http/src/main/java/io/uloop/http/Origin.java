/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.Validator;
import io.uloop.http.AttemptFailure.Kind;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hc.client5.http.HttpRoute;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.message.BasicHeader;
import org.jspecify.annotations.Nullable;

/**
 * One URL of the image and what has been learnt about it: where its redirects end, whether its
 * server is up, what its image was at open.
 *
 * <p><b>Threads:</b> any. The volatile fields are independent of each other; each is replaced as a
 * whole, and two threads that replace one at a time both bring something right.
 */
final class Origin {

  private static final String USER_AGENT = "uloop";

  // In a row, where a redirect led, until the first URL is asked again. One is no reason: it would
  // be asked each time a connection is lost.
  private static final int FAILURES_TO_GO_BACK = 2;

  private final HttpUrl first;
  private final HttpSettings config;
  private final Access access;
  private final Transport transport;
  private final Circuit circuit;
  private volatile @Nullable Generation pinned;
  private volatile boolean leftOut;
  private volatile boolean passedOver;
  private volatile long passedOverUntil;
  private volatile boolean everRedirected;
  private volatile boolean preconditions = true;
  private volatile Place place;

  // Where redirects led until the first URL was asked again, because nothing came from there.
  private volatile @Nullable HttpUrl left;
  private final AtomicInteger failuresInRow = new AtomicInteger();

  Origin(HttpUrl first, HttpSettings config, Access access, Transport transport, Circuit circuit) {
    this.first = first;
    this.access = access;
    this.config = config;
    this.transport = transport;
    this.circuit = circuit;
    this.place = placeOf(first, false, Optional.empty());
  }

  Circuit circuit() {
    return circuit;
  }

  /** Gives what the image was at open; null before {@link #pin}. */
  @Nullable Generation pinned() {
    return pinned;
  }

  /** Says what the image is; from now on requests carry it as a precondition. */
  void pin(Generation generation) {
    pinned = generation;
    rebuild();
  }

  /** Says that this is not to be asked any more. */
  void leaveOut() {
    leftOut = true;
  }

  /** Says that others are to be asked first for a time. */
  void passOver(long nanos) {
    passedOverUntil = System.nanoTime() + nanos;
    passedOver = true;
  }

  boolean passedOver() {
    return passedOver && passedOverUntil - System.nanoTime() > 0;
  }

  boolean leftOut() {
    return leftOut;
  }

  /**
   * Stops sending preconditions, after the server answered 412: either the image has changed, and
   * the next answer will show how, or the server has preconditions wrong.
   */
  void dropPreconditions() {
    preconditions = false;
    rebuild();
  }

  /**
   * Goes back to the first URL.
   *
   * @return whether a redirect ever led away from it, so that asking it again may help; not whether
   *     one does just now, since another reader may have come back already
   */
  boolean forgetRedirects() {
    place = placeOf(first, false, validator());
    return everRedirected;
  }

  /** Gives where the next request is sent. */
  Place place() {
    return place;
  }

  /** Says that bytes came. */
  void broughtBytes() {
    if (failuresInRow.get() != 0) {
      failuresInRow.set(0);
      left = null;
    }
  }

  /**
   * Says that a request brought nothing. Where redirects led is kept while it is of use only: a
   * redirect may lead elsewhere by now (RFC 9110, section 15.4.3). From the second such failure in
   * a row, the first URL and that place are asked in turn, since the first may be what is down, or
   * a URL that led only once.
   *
   * @param asked where the request was sent
   */
  void broughtNothing(Place asked) {
    if (!asked.redirected()) {
      goBack(asked);
    } else if (failuresInRow.incrementAndGet() >= FAILURES_TO_GO_BACK
        && asked.url().equals(place.url())) {
      left = asked.url();
      place = placeOf(first, false, validator());
    }
  }

  /**
   * Leaves the first URL, if it was asked again only because nothing came from where it had led.
   *
   * @param asked where the request was sent
   * @return whether the next is sent to where it had led
   */
  boolean goBack(Place asked) {
    HttpUrl before = left;
    if (asked.redirected() || before == null) {
      return false;
    }
    left = null;
    place = placeOf(before, true, validator());
    return true;
  }

  /** Asks for new credentials after those of renewal {@code seen} were refused; tells whether. */
  boolean renewCredentials(int seen, long deadline) {
    boolean renewed = access.renew(seen, deadline);
    if (renewed) {
      rebuild();
    }
    return renewed;
  }

  /** Counts the renewals of credentials so far. */
  int renewals() {
    return access.renewals();
  }

  private void rebuild() {
    Place now = place;
    place = placeOf(now.url(), now.redirected(), validator());
  }

  private Optional<Validator> validator() {
    Generation generation = pinned;
    return generation == null || !preconditions ? Optional.empty() : generation.validator();
  }

  private Place placeOf(HttpUrl url, boolean redirected, Optional<Validator> validator) {
    List<Header> headers = new ArrayList<>();
    headers.add(new BasicHeader("Host", url.authority()));
    headers.add(new BasicHeader("User-Agent", USER_AGENT));
    // The bytes as they are: a coded body has other offsets.
    headers.add(new BasicHeader("Accept-Encoding", "identity"));
    validator.ifPresent(
        v ->
            headers.add(
                new BasicHeader(
                    v.kind() == Validator.Kind.ETAG ? "If-Match" : "If-Unmodified-Since",
                    v.value())));
    headers.addAll(access.headersFor(url));
    HttpHost host = new HttpHost(url.scheme(), url.host(), url.port());
    ProxyChoice.Proxy proxy =
        config.unixSocket() != null ? null : config.proxies().choose(url).orElse(null);
    if (proxy == null) {
      HttpRoute direct = new HttpRoute(host, null, url.secure());
      return new Place(
          url, redirected, direct, false, List.copyOf(headers), List.of(), access.signerFor(url));
    }
    List<Header> proxyHeaders =
        proxy
            .credentials()
            .<List<Header>>map(
                c -> List.of(new BasicHeader("Proxy-Authorization", c.authorization(), true)))
            .orElse(List.of());
    if (!url.secure()) {
      headers.addAll(proxyHeaders);
    }
    HttpHost proxyHost = new HttpHost("http", proxy.url().host(), proxy.url().port());
    return new Place(
        url,
        redirected,
        new HttpRoute(host, null, proxyHost, url.secure()),
        !url.secure(),
        List.copyOf(headers),
        proxyHeaders,
        access.signerFor(url));
  }

  /**
   * Sends a request to where the last one ended, and follows redirects.
   *
   * @param method GET or HEAD
   * @param range the value of the Range header, if one is wanted
   * @param attempt told each connection
   * @return the exchange, no redirect; the caller ends it
   */
  Exchange send(String method, @Nullable String range, Attempt attempt)
      throws AttemptFailure, InterruptedIOException {
    Place to = place;
    for (int hops = 0; ; hops++) {
      Exchange answer = transport.send(to, method, range, attempt);
      if (!isRedirect(answer.status())) {
        if (hops > 0) {
          if (to.redirected()) {
            everRedirected = true;
          }
          place = to;
        }
        return answer;
      }
      String location = answer.header("Location");
      String line = answer.statusLine();
      answer.discard();
      String region = answer.header("x-amz-bucket-region");
      if (location == null && region != null) {
        throw new AttemptFailure(Kind.REFUSED, line + "; set s3.region=" + Text.printable(region));
      }
      if (location == null) {
        throw new AttemptFailure(Kind.PROTOCOL, line + " without Location");
      }
      if (hops >= config.maxRedirects()) {
        throw new AttemptFailure(Kind.REFUSED, "more than " + config.maxRedirects() + " redirects");
      }
      to = follow(to.url(), location);
    }
  }

  private static boolean isRedirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
  }

  private Place follow(HttpUrl from, String location) throws AttemptFailure {
    HttpUrl to;
    try {
      to = from.resolve(location);
    } catch (IllegalArgumentException e) {
      throw new AttemptFailure(
          Kind.REFUSED, "redirected to what is no http or https URL: " + e.getMessage(), e);
    }
    if (from.secure() && !to.secure() && !config.allowDowngrade()) {
      throw new AttemptFailure(
          Kind.REFUSED,
          "redirected from https to " + to.shown() + "; set http.allow-downgrade to follow");
    }
    try {
      return placeOf(to, !to.equals(first), validator());
    } catch (IllegalArgumentException e) {
      throw new AttemptFailure(
          Kind.REFUSED, "redirected to " + to.shown() + ": " + e.getMessage(), e);
    }
  }

  /** Gives the URL as it may be shown, and where redirects led last if they did. */
  String shown() {
    Place now = place;
    HttpUrl led = now.redirected() ? now.url() : left;
    return led != null ? first.shown() + " -> " + led.shown() : first.shown();
  }
}
