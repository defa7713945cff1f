/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceOptions;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * How an http source is read; immutable.
 *
 * @since 0.1
 */
public final class HttpSourceConfig {

  private final HttpSettings settings;

  private HttpSourceConfig(Builder builder) {
    settings = new HttpSettings(builder);
  }

  /**
   * Begins with the defaults.
   *
   * @param uri an absolute http or https URL, or {@code s3://bucket/key}
   * @return a new builder
   */
  public static Builder builder(URI uri) {
    return new Builder(uri);
  }

  /**
   * Reads the options of an opening by URI.
   *
   * @param uri an absolute http or https URL, or {@code s3://bucket/key}
   * @param options timeout and properties
   * @return the configuration
   * @throws IllegalArgumentException if a property is unknown or has no sense; the message names it
   */
  public static HttpSourceConfig of(URI uri, SourceOptions options) {
    return HttpProperties.read(uri, options);
  }

  HttpSettings settings() {
    return settings;
  }

  /** Names the URL and nothing that may be secret. */
  @Override
  public String toString() {
    return "HttpSourceConfig[" + settings.url().shown() + " timeout=" + settings.timeout() + "]";
  }

  /** Collects a configuration; not safe for use by several threads. */
  public static final class Builder {
    // Read by HttpSettings.
    final URI uri;
    Duration timeout = SourceOptions.defaults().timeout();
    Duration connectTimeout = Duration.ZERO;
    Duration stallTimeout = Duration.ZERO;
    Duration answerTimeout = Duration.ZERO; // only tests set it
    int connections = 32;
    int fetchBytes = 1 << 20;
    int maxRedirects = 10;
    boolean allowDowngrade;
    final Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
    @Nullable CredentialSource credentials;
    @Nullable Path netrc;
    @Nullable String proxy;
    @Nullable String noProxy;
    Map<String, String> environment = System.getenv();
    @Nullable Path caFile;
    @Nullable Path clientCertificate;
    @Nullable Path clientKey;
    boolean insecure;
    @Nullable Path unixSocket;
    final List<URI> mirrors = new ArrayList<>();
    boolean mirrorsBySize;
    boolean hedge = true;
    @Nullable URI s3Endpoint;
    String s3Region = "us-east-1";
    @Nullable Boolean s3PathStyle;
    S3Credentials.@Nullable Source s3Credentials;

    private Builder(URI uri) {
      this.uri = Objects.requireNonNull(uri, "uri");
    }

    /**
     * Sets where credentials come from, also new ones when the server refuses the old.
     *
     * @param credentials asked at open and after each 401
     * @return this
     */
    public Builder credentials(CredentialSource credentials) {
      this.credentials = Objects.requireNonNull(credentials, "credentials");
      return this;
    }

    /**
     * Sets a file of passwords in the form of {@code .netrc}, for when there are no other
     * credentials.
     *
     * @param netrc the file
     * @return this
     */
    public Builder netrc(Path netrc) {
      this.netrc = Objects.requireNonNull(netrc, "netrc");
      return this;
    }

    /**
     * Adds a header to each request to the URL's own origin.
     *
     * @param name its name; not one of those that make up the request
     * @param value its value
     * @return this
     * @throws IllegalArgumentException if it is no header, or one that the source sets itself
     */
    public Builder header(String name, String value) {
      HttpSettings.checkHeader(name, value);
      headers.put(name, value);
      return this;
    }

    /**
     * Sets the proxy; unless set, the environment decides ({@code http_proxy}, {@code https_proxy},
     * {@code all_proxy}), and never for a loopback address.
     *
     * @param proxy an http URL, or {@code none} for no proxy
     * @return this
     */
    public Builder proxy(String proxy) {
      this.proxy = Objects.requireNonNull(proxy, "proxy");
      return this;
    }

    /**
     * Sets the hosts that are asked without a proxy; unless set, {@code no_proxy} of the
     * environment decides.
     *
     * @param noProxy in the forms of {@code no_proxy}, which docs/http-source.md lists
     * @return this
     */
    public Builder noProxy(String noProxy) {
      this.noProxy = Objects.requireNonNull(noProxy, "noProxy");
      return this;
    }

    Builder environment(Map<String, String> variables) {
      this.environment = Map.copyOf(variables);
      return this;
    }

    /**
     * Sets whose certificates are trusted, in place of those that the JDK trusts.
     *
     * @param caFile certificates in PEM form
     * @return this
     */
    public Builder caFile(Path caFile) {
      this.caFile = Objects.requireNonNull(caFile, "caFile");
      return this;
    }

    /**
     * Sets the certificate that the server is shown.
     *
     * @param certificate certificate and chain in PEM form
     * @param key its unencrypted PKCS #8 key in PEM form; may be the same file
     * @return this
     */
    public Builder clientCertificate(Path certificate, Path key) {
      this.clientCertificate = Objects.requireNonNull(certificate, "certificate");
      this.clientKey = Objects.requireNonNull(key, "key");
      return this;
    }

    /**
     * Sets whether any certificate of any host will do; said in the log at each open.
     *
     * @param insecure whether it will
     * @return this
     */
    public Builder insecure(boolean insecure) {
      this.insecure = insecure;
      return this;
    }

    /**
     * Sets the unix socket behind which the server is; the URL's host is only named to it.
     *
     * @param unixSocket the socket
     * @return this
     */
    public Builder unixSocket(Path unixSocket) {
      this.unixSocket = Objects.requireNonNull(unixSocket, "unixSocket");
      return this;
    }

    /**
     * Sets the time within which one read ends, retries included; 30 seconds unless set.
     *
     * @param timeout a positive duration
     * @return this
     */
    public Builder timeout(Duration timeout) {
      this.timeout = HttpSettings.positive("timeout", timeout);
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
      this.connectTimeout = HttpSettings.positive("connectTimeout", connectTimeout);
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
      this.stallTimeout = HttpSettings.positive("stallTimeout", stallTimeout);
      return this;
    }

    /**
     * Sets how many connections, and so reads, there are at once; 32 unless set, which fills a
     * distant server's link with small random reads.
     *
     * @param connections 1 to 1024
     * @return this
     */
    public Builder connections(int connections) {
      HttpSettings.check(
          connections >= 1 && connections <= 1024,
          "connections must be 1 to 1024: connections=" + connections);
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
      HttpSettings.check(
          Integer.bitCount(fetchBytes) == 1 && fetchBytes >= 4096,
          "fetchBytes must be a power of two, 4096 or more: fetchBytes=" + fetchBytes);
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
      HttpSettings.check(maxRedirects >= 0, "negative: maxRedirects=" + maxRedirects);
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
     * Adds another URL of the same image, asked when those before it fail or are slow.
     *
     * <p>It is used only if it has the same size and the same strong ETag, Last-Modified date or
     * Repr-Digest. Credentials and headers set here are not sent to it; those in its own URL or in
     * the netrc file are.
     *
     * @param mirror an absolute http or https URL
     * @return this
     */
    public Builder mirror(URI mirror) {
      mirrors.add(Objects.requireNonNull(mirror, "mirror"));
      return this;
    }

    /**
     * Sets whether a mirror of the same size is taken to be the same image; it is not unless set.
     *
     * @param mirrorsBySize whether it is
     * @return this
     */
    public Builder mirrorsBySize(boolean mirrorsBySize) {
      this.mirrorsBySize = mirrorsBySize;
      return this;
    }

    /**
     * Sets whether a slow request is asked of a mirror as well; it is unless set, at the cost of 5
     * % more traffic at most.
     *
     * @param hedge whether it is
     * @return this
     */
    public Builder hedge(boolean hedge) {
      this.hedge = hedge;
      return this;
    }

    /**
     * Sets where an {@code s3:} URL is asked: AWS in the region unless set.
     *
     * @param s3Endpoint an http or https URL
     * @return this
     */
    public Builder s3Endpoint(URI s3Endpoint) {
      this.s3Endpoint = Objects.requireNonNull(s3Endpoint, "s3Endpoint");
      return this;
    }

    /**
     * Sets the region that requests for an {@code s3:} URL are signed for; us-east-1 unless set.
     *
     * @param s3Region the region's name
     * @return this
     */
    public Builder s3Region(String s3Region) {
      this.s3Region = Objects.requireNonNull(s3Region, "s3Region");
      return this;
    }

    /**
     * Sets whether the bucket of an {@code s3:} URL is named in the path; unless set it is with an
     * endpoint, and where its name could not be a host's.
     *
     * @param s3PathStyle whether it is
     * @return this
     */
    public Builder s3PathStyle(boolean s3PathStyle) {
      this.s3PathStyle = s3PathStyle;
      return this;
    }

    /**
     * Sets the key pair that requests for an {@code s3:} URL are signed with; unsigned unless set.
     *
     * @param accessKey the access key id
     * @param secretKey the secret access key
     * @param sessionToken the token of temporary credentials, if they are
     * @return this
     */
    public Builder s3Credentials(
        String accessKey, String secretKey, Optional<String> sessionToken) {
      S3Credentials fixed = new S3Credentials(accessKey, secretKey, sessionToken);
      return s3Credentials(() -> fixed);
    }

    Builder s3Credentials(S3Credentials.Source source) {
      this.s3Credentials = source;
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
