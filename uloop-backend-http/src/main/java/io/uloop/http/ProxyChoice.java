/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.URI;
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
  private final String exceptions;

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
    this.exceptions = noProxy != null ? noProxy : either("no_proxy");
    if (setting != null && !setting.equals("none")) {
      parse(setting);
    }
  }

  private String either(String name) {
    String lower = environment.getOrDefault(name, "");
    return lower.isEmpty() ? environment.getOrDefault(name.toUpperCase(Locale.ROOT), "") : lower;
  }

  Optional<Proxy> choose(HttpUrl url) {
    if (setting != null) {
      return setting.equals("none") || excepted(url)
          ? Optional.empty()
          : Optional.of(parse(setting));
    }
    String found =
        url.secure() ? either("https_proxy") : environment.getOrDefault("http_proxy", "");
    if (found.isEmpty()) {
      found = either("all_proxy");
    }
    return found.isEmpty() || isLoopback(url.host()) || excepted(url)
        ? Optional.empty()
        : Optional.of(parse(found));
  }

  private static boolean isLoopback(String host) {
    return host.equals("localhost")
        || host.endsWith(".localhost")
        || host.equals("::1")
        || host.matches("127\\.\\d+\\.\\d+\\.\\d+");
  }

  // "example.org", ".example.org", "example.org:8080" and "*", separated by commas or spaces.
  private boolean excepted(HttpUrl url) {
    for (String entry : exceptions.toLowerCase(Locale.ROOT).split("[, ]+", -1)) {
      String name = entry.startsWith(".") ? entry.substring(1) : entry;
      if (name.equals("*")
          || name.equals(url.host())
          || name.equals(url.host() + ":" + url.port())
          || (!name.isEmpty() && url.host().endsWith("." + name))) {
        return true;
      }
    }
    return false;
  }

  private static Proxy parse(String text) {
    URI uri;
    try {
      uri = URI.create(text.contains("://") ? text : "http://" + text);
      if (!"http".equalsIgnoreCase(uri.getScheme())) {
        throw new IllegalArgumentException("only http proxies are known");
      }
      HttpUrl url = HttpUrl.of(uri);
      return new Proxy(url, userInfo(uri));
    } catch (IllegalArgumentException e) {
      // The text may have a password.
      throw new IllegalArgumentException("not the URL of an http proxy", e);
    }
  }

  /** Reads the user info of a URL as credentials. */
  static Optional<HttpCredentials> userInfo(URI uri) {
    String authority = uri.getAuthority();
    int at = authority == null ? -1 : authority.lastIndexOf('@');
    if (authority == null || at < 0) {
      return Optional.empty();
    }
    String pair = authority.substring(0, at);
    return Optional.of(HttpCredentials.ofPair(pair.contains(":") ? pair : pair + ":"));
  }
}
