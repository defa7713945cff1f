/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceRefusedException;
import io.uloop.UloopException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * What a {@link HttpSourceConfig} comes to: URLs read, defaults worked out, credentials ready to be
 * asked for; immutable.
 */
final class HttpSettings {

  // Lower case. What a request says of itself, and what the checks of the answers rely on.
  private static final Set<String> OWN_HEADERS =
      Set.of(
          "host",
          "range",
          "accept-encoding",
          "connection",
          "content-length",
          "transfer-encoding",
          "te",
          "expect",
          "upgrade");
  private static final CredentialSource NOBODY = renew -> Optional.empty();
  private static final Duration LONGEST_CONNECT = Duration.ofSeconds(10);
  private static final Duration LONGEST_STALL = Duration.ofSeconds(10);

  private final HttpUrl url;
  private final Duration timeout;
  private final Duration connectTimeout;
  private final Duration stallTimeout;
  private final long answerNanos;
  private final int connections;
  private final int fetchBytes;
  private final int maxRedirects;
  private final boolean allowDowngrade;
  private final Map<String, String> headers;
  private final CredentialSource credentials;
  private final ProxyChoice proxies;
  private final LazyTls.Settings tls;
  private final @Nullable Path unixSocket;
  private final List<HttpUrl> mirrors;
  private final Map<HttpUrl, CredentialSource> mirrorCredentials;
  private final boolean mirrorsBySize;
  private final boolean hedge;
  private final String s3Region;
  private final S3Credentials.@Nullable Source s3Credentials;

  HttpSettings(HttpSourceConfig.Builder builder) {
    s3Region = builder.s3Region;
    s3Credentials = builder.s3Credentials;
    url = HttpUrl.of(place(builder));
    headers = Collections.unmodifiableMap(new LinkedHashMap<>(builder.headers));
    credentials =
        builder.credentials != null
            ? builder.credentials
            : ownCredentials(builder.netrc, builder.uri, url);
    proxies = new ProxyChoice(builder.proxy, builder.noProxy, builder.environment);
    tls =
        new LazyTls.Settings(
            builder.caFile, builder.clientCertificate, builder.clientKey, builder.insecure);
    unixSocket = builder.unixSocket;
    mirrors = builder.mirrors.stream().map(HttpUrl::of).toList();
    mirrorCredentials =
        builder.mirrors.stream()
            .collect(
                Collectors.toMap(
                    HttpUrl::of,
                    uri -> ownCredentials(builder.netrc, uri, HttpUrl.of(uri)),
                    (one, other) -> one));
    mirrorsBySize = builder.mirrorsBySize;
    hedge = builder.hedge;
    timeout = builder.timeout;
    connectTimeout = shorter(builder.connectTimeout, timeout.dividedBy(3), LONGEST_CONNECT);
    stallTimeout = shorter(builder.stallTimeout, timeout.dividedBy(3), LONGEST_STALL);
    answerNanos =
        builder.answerTimeout.isZero()
            ? Math.max(Nanos.of(timeout) / 2, Nanos.of(stallTimeout))
            : Nanos.of(builder.answerTimeout);
    connections = builder.connections;
    fetchBytes = builder.fetchBytes;
    maxRedirects = builder.maxRedirects;
    allowDowngrade = builder.allowDowngrade;
  }

  private static Duration shorter(Duration set, Duration share, Duration longest) {
    if (!set.isZero()) {
      return set;
    }
    return share.compareTo(longest) < 0 ? share : longest;
  }

  private static URI place(HttpSourceConfig.Builder builder) {
    return "s3".equalsIgnoreCase(builder.uri.getScheme())
        ? S3Place.url(builder.uri, builder.s3Endpoint, builder.s3Region, builder.s3PathStyle)
        : builder.uri;
  }

  // First that is there: what was set, the URL's own user info, the netrc file.
  private static CredentialSource ownCredentials(@Nullable Path netrc, URI place, HttpUrl url) {
    Optional<HttpCredentials> own = ProxyChoice.userInfo(place);
    if (own.isPresent()) {
      return renew -> own;
    }
    return netrc == null ? NOBODY : renew -> Netrc.find(netrc, url.host());
  }

  /** Throws an IllegalArgumentException unless it is ok. */
  static void check(boolean ok, String what) {
    if (!ok) {
      throw new IllegalArgumentException(what);
    }
  }

  /** Refuses what is not positive. */
  static Duration positive(String name, Duration value) {
    check(
        !value.isZero() && !value.isNegative(), name + " must be positive: " + name + "=" + value);
    return value;
  }

  /**
   * Refuses what is no header, or one that the source sets itself.
   *
   * @throws IllegalArgumentException if it is
   */
  static void checkHeader(String name, String value) {
    String lower = name.toLowerCase(Locale.ROOT);
    if (!name.matches("[!#$%&'*+.^_`|~0-9A-Za-z-]+")) {
      // It may be the beginning of a value, which may be secret: only that is sure.
      throw new IllegalArgumentException("not a header: a character that no name has");
    }
    if (value.chars().anyMatch(c -> (c < ' ' && c != '\t') || c == 0x7f)) {
      throw new IllegalArgumentException("not a header: a control character after name=" + name);
    }
    if (OWN_HEADERS.contains(lower) || lower.startsWith("if-")) {
      throw new IllegalArgumentException("a header that the source sets itself: name=" + name);
    }
  }

  HttpUrl url() {
    return url;
  }

  Duration timeout() {
    return timeout;
  }

  /** Gives how long one read, or the open, may take. */
  long timeoutNanos() {
    return Nanos.of(timeout);
  }

  long connectNanos() {
    return Nanos.of(connectTimeout);
  }

  /**
   * Gives how long the head of an answer may take: half of the timeout, so that there is a rest.
   */
  long answerNanos() {
    return answerNanos;
  }

  long stallNanos() {
    return Nanos.of(stallTimeout);
  }

  /** Gives how many bytes must come within the stall timeout: 1 KiB per second. */
  long leastProgressBytes() {
    return Math.max(1, TimeUnit.NANOSECONDS.toMillis(stallNanos()) * 1024 / 1000);
  }

  int connections() {
    return connections;
  }

  int fetchBytes() {
    return fetchBytes;
  }

  int maxRedirects() {
    return maxRedirects;
  }

  boolean allowDowngrade() {
    return allowDowngrade;
  }

  /** Gives how many connections there are at most: one for each read, and a few for hedges. */
  int mostConnections() {
    return connections + 8;
  }

  List<HttpUrl> mirrors() {
    return mirrors;
  }

  boolean mirrorsBySize() {
    return mirrorsBySize;
  }

  boolean hedge() {
    return hedge;
  }

  /** Gives what a mirror is shown: credentials of its own URL or of the netrc file, no others. */
  Access mirrorAccess(HttpUrl mirror) throws IOException {
    return new Access(mirror, Map.of(), mirrorCredentials.getOrDefault(mirror, NOBODY), null);
  }

  /** Asks for credentials, for the first time. */
  Access access() throws IOException {
    S3Credentials.Source keys = s3Credentials;
    try {
      S3Signer signer = keys == null ? null : new S3Signer(s3Region, keys, InstantSource.system());
      return new Access(url, headers, credentials, signer);
    } catch (UloopException e) {
      throw e;
    } catch (IOException e) {
      throw new SourceRefusedException("credentials for " + url.shown() + ": " + e, e);
    }
  }

  ProxyChoice proxies() {
    return proxies;
  }

  LazyTls.Settings tls() {
    return tls;
  }

  @Nullable Path unixSocket() {
    return unixSocket;
  }
}
