/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceOptions;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Reads the properties of {@link SourceOptions}; docs/http-source.md lists them.
 *
 * <p>Secrets are named by file or environment variable, so that they never are on a command line.
 */
final class HttpProperties {

  /** Applies one property. */
  @FunctionalInterface
  private interface Setter {
    void set(HttpProperties to, String value);
  }

  // Sorted, so that the message about an unknown one is the same each time.
  private static final Map<String, Setter> KNOWN = new TreeMap<>();

  static {
    KNOWN.put("http.connections", (p, v) -> p.builder.connections(Integer.parseInt(v)));
    KNOWN.put("http.connect-timeout", (p, v) -> p.builder.connectTimeout(seconds(v)));
    KNOWN.put("http.stall-timeout", (p, v) -> p.builder.stallTimeout(seconds(v)));
    KNOWN.put("http.fetch-bytes", (p, v) -> p.builder.fetchBytes(Integer.parseInt(v)));
    KNOWN.put("http.max-redirects", (p, v) -> p.builder.maxRedirects(Integer.parseInt(v)));
    KNOWN.put("http.allow-downgrade", (p, v) -> p.builder.allowDowngrade(bool(v)));
    KNOWN.put("http.header", (p, v) -> p.headers(List.of(v.split("\n", -1))));
    KNOWN.put("http.header-file", (p, v) -> p.headers(lines(Path.of(v))));
    KNOWN.put("http.user-file", (p, v) -> p.credentials(file(v), HttpCredentials::ofPair));
    KNOWN.put("http.user-env", (p, v) -> p.credentials(variable(v), HttpCredentials::ofPair));
    KNOWN.put("http.bearer-file", (p, v) -> p.credentials(file(v), HttpCredentials::bearer));
    KNOWN.put("http.bearer-env", (p, v) -> p.credentials(variable(v), HttpCredentials::bearer));
    KNOWN.put("http.netrc", (p, v) -> p.builder.netrc(netrc(v)));
    KNOWN.put("http.ca-file", (p, v) -> p.builder.caFile(Path.of(v)));
    KNOWN.put("http.client-cert", (p, v) -> p.clientCertificate = Path.of(v));
    KNOWN.put("http.client-key", (p, v) -> p.clientKey = Path.of(v));
    KNOWN.put("http.insecure", (p, v) -> p.builder.insecure(bool(v)));
    KNOWN.put("http.proxy", (p, v) -> p.builder.proxy(v));
    KNOWN.put("http.no-proxy", (p, v) -> p.builder.noProxy(v));
    KNOWN.put("http.unix-socket", (p, v) -> p.builder.unixSocket(Path.of(v)));
    KNOWN.put("s3.endpoint", (p, v) -> p.builder.s3Endpoint(UriText.parse(v)));
    KNOWN.put("s3.region", (p, v) -> p.region = v);
    KNOWN.put("s3.path-style", (p, v) -> p.builder.s3PathStyle(bool(v)));
    KNOWN.put("s3.profile", (p, v) -> p.profile = v);
    KNOWN.put("s3.anonymous", (p, v) -> p.anonymous = bool(v));
    KNOWN.put("http.mirror", (p, v) -> p.mirrors(v));
    KNOWN.put("http.mirror-check", (p, v) -> p.builder.mirrorsBySize(bySize(v)));
    KNOWN.put("http.hedge", (p, v) -> p.builder.hedge(bool(v)));
  }

  private final HttpSourceConfig.Builder builder;
  private @Nullable Path clientCertificate;
  private @Nullable Path clientKey;
  private boolean hasCredentials;
  private @Nullable String region;
  private @Nullable String profile;
  private boolean anonymous;

  private HttpProperties(HttpSourceConfig.Builder builder) {
    this.builder = builder;
  }

  static HttpSourceConfig read(URI uri, SourceOptions options) {
    HttpProperties properties =
        new HttpProperties(HttpSourceConfig.builder(uri).timeout(options.timeout()));
    options.properties().forEach(properties::apply);
    if ("s3".equalsIgnoreCase(uri.getScheme())) {
      properties.s3();
    }
    return properties.finish();
  }

  private HttpSourceConfig finish() {
    Path certificate = clientCertificate;
    if (certificate != null) {
      builder.clientCertificate(certificate, clientKey != null ? clientKey : certificate);
    } else if (clientKey != null) {
      throw new IllegalArgumentException("property http.client-key needs http.client-cert");
    }
    return builder.build();
  }

  private void s3() {
    Path home = Path.of(System.getProperty("user.home", "."));
    String section = profile;
    try {
      builder.s3Region(
          region != null ? region : S3CredentialChain.region(System.getenv(), home, section));
    } catch (IOException e) {
      throw new IllegalArgumentException("cannot read the AWS configuration file", e);
    }
    if (!anonymous) {
      builder.s3Credentials(new S3CredentialChain(System.getenv(), home, section));
    }
  }

  private void apply(String name, String value) {
    if (!name.startsWith("http.") && !name.startsWith("s3.")) {
      // Of another scheme: a plug-in's options may be passed along with ours.
      return;
    }
    Setter setter = KNOWN.get(name);
    if (setter == null) {
      throw new IllegalArgumentException(
          "unknown property " + name + "; there are " + KNOWN.keySet());
    }
    try {
      setter.set(this, value);
    } catch (IllegalArgumentException e) {
      // What the setters say never holds a secret: of URLs and headers it has the name at most.
      throw new IllegalArgumentException("property " + name + ": " + e.getMessage(), e);
    }
  }

  private void mirrors(String urls) {
    for (String url : urls.trim().split("\\s+", -1)) {
      URI mirror = UriText.parse(url);
      HttpUrl.of(mirror); // here already, so that the message has the property
      builder.mirror(mirror);
    }
  }

  private static boolean bySize(String value) {
    return switch (value) {
      case "size" -> true;
      case "validator" -> false;
      default -> throw new IllegalArgumentException("neither validator nor size: " + value);
    };
  }

  private void headers(List<String> lines) {
    for (String line : lines) {
      int colon = line.indexOf(':');
      if (line.isBlank() || line.startsWith("#")) {
        continue;
      } else if (colon < 1) {
        throw new IllegalArgumentException("not 'Name: value'");
      }
      builder.header(line.substring(0, colon).trim(), line.substring(colon + 1).trim());
    }
  }

  /** Reads text that may have changed since. */
  @FunctionalInterface
  private interface Secret {
    String read() throws IOException;
  }

  private void credentials(Secret secret, Function<String, HttpCredentials> form) {
    if (hasCredentials) {
      throw new IllegalArgumentException("more than one property gives credentials");
    }
    hasCredentials = true;
    builder.credentials(
        renew -> {
          try {
            return Optional.of(form.apply(secret.read()));
          } catch (IllegalArgumentException e) {
            throw new IOException("bad credentials: " + e.getMessage(), e);
          }
        });
  }

  private static Secret file(String path) {
    Path file = Path.of(path);
    return () -> Files.readString(file).strip();
  }

  private static Secret variable(String name) {
    return () -> {
      String value = System.getenv(name);
      if (value == null) {
        throw new IOException("no environment variable " + name);
      }
      return value.strip();
    };
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      throw new IllegalArgumentException("cannot read " + file, e);
    }
  }

  private static Path netrc(String value) {
    if (!value.isEmpty() && !value.equals("true")) {
      return Path.of(value);
    }
    String named = System.getenv("NETRC");
    return named != null ? Path.of(named) : Path.of(System.getProperty("user.home", "."), ".netrc");
  }

  private static Duration seconds(String value) {
    return Duration.ofMillis((long) (Double.parseDouble(value) * 1000));
  }

  private static boolean bool(String value) {
    return switch (value) {
      case "", "true", "yes", "on" -> true;
      case "false", "no", "off" -> false;
      default -> throw new IllegalArgumentException("not true or false: " + value);
    };
  }
}
