/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Chooses the proxy for a URL.
 *
 * <p>Without a setting the environment decides, as with curl (its manual, "ENVIRONMENT"): {@code
 * http_proxy} in lower case only, {@code https_proxy} and {@code all_proxy} in either, and {@code
 * no_proxy}. Unlike curl, it is never asked for a loopback address, which a proxy elsewhere could
 * not reach.
 */
final class ProxyChoice {

  /**
   * A proxy.
   *
   * @param url where it is; only scheme, host and port count
   * @param credentials what it is shown, if anything
   */
  record Proxy(HttpUrl url, Optional<HttpCredentials> credentials) {}

  private final @Nullable String setting;
  private final Map<String, String> environment;
  private final NoProxy exceptions;

  /**
   * Makes one.
   *
   * @param setting a proxy URL, {@code none}, or null to let the environment decide
   * @param noProxy hosts that are asked directly, or null to let the environment decide
   * @param environment the environment
   */
  ProxyChoice(@Nullable String setting, @Nullable String noProxy, Map<String, String> environment) {
    this.setting = setting;
    this.environment = environment;
    this.exceptions = new NoProxy(noProxy != null ? noProxy : either("no_proxy"));
    if (setting != null && !setting.equals("none")) {
      parse("http.proxy", setting);
    }
  }

  private String either(String name) {
    String lower = environment.getOrDefault(name, "");
    return lower.isEmpty() ? environment.getOrDefault(name.toUpperCase(Locale.ROOT), "") : lower;
  }

  /**
   * Chooses.
   *
   * @return the proxy; empty to connect directly
   * @throws IllegalArgumentException if the environment names what is no http proxy; the message
   *     has no secrets
   */
  Optional<Proxy> choose(HttpUrl url) {
    if (setting != null) {
      return setting.equals("none") || exceptions.has(url)
          ? Optional.empty()
          : Optional.of(parse("http.proxy", setting));
    }
    String variable = url.secure() ? "https_proxy" : "http_proxy";
    String found = url.secure() ? either(variable) : environment.getOrDefault(variable, "");
    if (found.isEmpty()) {
      variable = "all_proxy";
      found = either(variable);
    }
    return found.isEmpty() || NoProxy.isLoopback(url.host()) || exceptions.has(url)
        ? Optional.empty()
        : Optional.of(parse(variable, found));
  }

  private static Proxy parse(String where, String text) {
    try {
      URI uri = UriText.parse(text.contains("://") ? "" : "http://", text);
      if (!"http".equalsIgnoreCase(uri.getScheme())) {
        throw new IllegalArgumentException("only http proxies are known");
      }
      HttpUrl url = HttpUrl.of(uri);
      return new Proxy(url, userInfo(uri));
    } catch (IllegalArgumentException e) {
      // The text may have a password, and is nowhere in what was thrown.
      throw new IllegalArgumentException(
          where
              + " is not the URL of an http proxy ("
              + e.getMessage()
              + "); http.proxy=none connects directly",
          e);
    }
  }

  /** Reads the user info of a URL as credentials. */
  static Optional<HttpCredentials> userInfo(URI uri) {
    String authority = uri.getRawAuthority();
    int at = authority == null ? -1 : authority.lastIndexOf('@');
    if (authority == null || at < 0) {
      return Optional.empty();
    }
    // Decoded after it is divided: a name may have an encoded colon, which no server would take.
    String pair = authority.substring(0, at);
    int colon = pair.indexOf(':');
    return Optional.of(
        HttpCredentials.basic(
            decode(colon < 0 ? pair : pair.substring(0, colon)),
            decode(colon < 0 ? "" : pair.substring(colon + 1))));
  }

  // Percent signs only; URLDecoder alone would make a space of a plus.
  private static String decode(String text) {
    return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
  }
}
