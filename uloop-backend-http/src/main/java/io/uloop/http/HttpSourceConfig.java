/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceOptions;
import java.net.URI;
import java.time.Duration;
import java.util.Objects;

/**
 * How an http source is read; immutable.
 *
 * @since 0.1
 */
public final class HttpSourceConfig {

  private static final Duration LONGEST_CONNECT = Duration.ofSeconds(10);
  private static final Duration LONGEST_STALL = Duration.ofSeconds(10);

  private final HttpUrl url;
  private final Duration timeout;
  private final Duration connectTimeout;
  private final Duration stallTimeout;
  private final int connections;
  private final int fetchBytes;
  private final int maxRedirects;
  private final boolean allowDowngrade;

  private HttpSourceConfig(Builder builder) {
    url = HttpUrl.of(builder.uri);
    timeout = builder.timeout;
    connectTimeout = shorter(builder.connectTimeout, timeout.dividedBy(3), LONGEST_CONNECT);
    stallTimeout = shorter(builder.stallTimeout, timeout.dividedBy(3), LONGEST_STALL);
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

  /**
   * Begins with the defaults.
   *
   * @param uri an absolute http or https URL
   * @return a new builder
   */
  public static Builder builder(URI uri) {
    return new Builder(uri);
  }

  /**
   * Reads the options of an opening by URI.
   *
   * @param uri an absolute http or https URL
   * @param options timeout and properties
   * @return the configuration
   * @throws IllegalArgumentException if a property is unknown or has no sense; the message names it
   */
  public static HttpSourceConfig of(URI uri, SourceOptions options) {
    return HttpProperties.read(uri, options);
  }

  HttpUrl url() {
    return url;
  }

  Duration timeout() {
    return timeout;
  }

  long connectNanos() {
    return connectTimeout.toNanos();
  }

  /**
   * Gives how long the head of an answer may take: half of the timeout, so that there is a rest.
   */
  long answerNanos() {
    return Math.max(timeout.dividedBy(2).toNanos(), stallNanos());
  }

  long stallNanos() {
    return stallTimeout.toNanos();
  }

  /** Gives how many bytes must come within the stall timeout: 1 KiB per second. */
  long leastProgressBytes() {
    return Math.max(1, stallTimeout.toMillis() * 1024 / 1000);
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

  /** Collects a configuration; not safe for use by several threads. */
  public static final class Builder {
    private final URI uri;
    private Duration timeout = SourceOptions.defaults().timeout();
    private Duration connectTimeout = Duration.ZERO;
    private Duration stallTimeout = Duration.ZERO;
    private int connections = 32;
    private int fetchBytes = 1 << 20;
    private int maxRedirects = 10;
    private boolean allowDowngrade;

    private Builder(URI uri) {
      this.uri = Objects.requireNonNull(uri, "uri");
    }

    /**
     * Sets the time within which one read ends, retries included; 30 seconds unless set.
     *
     * @param timeout a positive duration
     * @return this
     */
    public Builder timeout(Duration timeout) {
      this.timeout = positive("timeout", timeout);
      return this;
    }

    /**
     * Sets how long a connection may take to come about, TLS included; a third of the timeout and
     * at most 10 seconds unless set.
     *
     * @param connectTimeout a positive duration
     * @return this
     */
    public Builder connectTimeout(Duration connectTimeout) {
      this.connectTimeout = positive("connectTimeout", connectTimeout);
      return this;
    }

    /**
     * Sets after which time without progress (less than 1 KiB per second) a body is given up and
     * its rest asked for on another connection; a third of the timeout and at most 10 seconds
     * unless set.
     *
     * @param stallTimeout a positive duration
     * @return this
     */
    public Builder stallTimeout(Duration stallTimeout) {
      this.stallTimeout = positive("stallTimeout", stallTimeout);
      return this;
    }

    private static Duration positive(String name, Duration value) {
      if (value.isZero() || value.isNegative()) {
        throw new IllegalArgumentException(name + " must be positive: " + name + "=" + value);
      }
      return value;
    }

    /**
     * Sets how many connections, and so reads, there are at once; 32 unless set, which fills a
     * distant server's link with small random reads.
     *
     * @param connections 1 to 1024
     * @return this
     */
    public Builder connections(int connections) {
      if (connections < 1 || connections > 1024) {
        throw new IllegalArgumentException(
            "connections must be 1 to 1024: connections=" + connections);
      }
      this.connections = connections;
      return this;
    }

    /**
     * Sets the size of a fetch that the source asks its caller for; 1 MiB unless set.
     *
     * @param fetchBytes a power of two, 4 KiB to 1 GiB
     * @return this
     */
    public Builder fetchBytes(int fetchBytes) {
      if (Integer.bitCount(fetchBytes) != 1 || fetchBytes < 4096) {
        throw new IllegalArgumentException(
            "fetchBytes must be a power of two, 4096 or more: fetchBytes=" + fetchBytes);
      }
      this.fetchBytes = fetchBytes;
      return this;
    }

    /**
     * Sets how many redirects in a row are followed; 10 unless set.
     *
     * @param maxRedirects zero or more
     * @return this
     */
    public Builder maxRedirects(int maxRedirects) {
      if (maxRedirects < 0) {
        throw new IllegalArgumentException("negative: maxRedirects=" + maxRedirects);
      }
      this.maxRedirects = maxRedirects;
      return this;
    }

    /**
     * Sets whether a redirect may lead from https to http; it may not unless set.
     *
     * @param allowDowngrade whether it may
     * @return this
     */
    public Builder allowDowngrade(boolean allowDowngrade) {
      this.allowDowngrade = allowDowngrade;
      return this;
    }

    /**
     * Makes the configuration.
     *
     * @return an immutable configuration
     * @throws IllegalArgumentException if the URL is none that can be asked
     */
    public HttpSourceConfig build() {
      return new HttpSourceConfig(this);
    }
  }
}
