/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceOptions;
import java.net.URI;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;

/** Reads the properties of {@link SourceOptions}; docs/http-source.md lists them. */
final class HttpProperties {

  // Sorted, so that the message about an unknown one is the same each time.
  private static final Map<String, BiConsumer<HttpSourceConfig.Builder, String>> KNOWN =
      new TreeMap<>(
          Map.of(
              "http.connections", (b, v) -> b.connections(Integer.parseInt(v)),
              "http.connect-timeout", (b, v) -> b.connectTimeout(seconds(v)),
              "http.stall-timeout", (b, v) -> b.stallTimeout(seconds(v)),
              "http.fetch-bytes", (b, v) -> b.fetchBytes(Integer.parseInt(v)),
              "http.max-redirects", (b, v) -> b.maxRedirects(Integer.parseInt(v)),
              "http.allow-downgrade", (b, v) -> b.allowDowngrade(bool(v))));

  private HttpProperties() {}

  static HttpSourceConfig read(URI uri, SourceOptions options) {
    HttpSourceConfig.Builder builder = HttpSourceConfig.builder(uri).timeout(options.timeout());
    options.properties().forEach((name, value) -> apply(builder, name, value));
    return builder.build();
  }

  private static void apply(HttpSourceConfig.Builder builder, String name, String value) {
    if (!name.startsWith("http.")) {
      // Of another scheme: a plug-in's options may be passed along with ours.
      return;
    }
    BiConsumer<HttpSourceConfig.Builder, String> setter = KNOWN.get(name);
    if (setter == null) {
      throw new IllegalArgumentException(
          "unknown property " + name + "; there are " + KNOWN.keySet());
    }
    try {
      setter.accept(builder, value);
    } catch (IllegalArgumentException e) {
      // The value may be secret; what the setter says names only what is not.
      throw new IllegalArgumentException("property " + name + ": " + e.getMessage(), e);
    }
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
