/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.IDN;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * An absolute http(s) URL in the parts that a request needs, without user info and fragment.
 *
 * @param scheme {@code http} or {@code https}
 * @param host a name or address in lower case, an IPv6 address without brackets
 * @param port the port, never -1
 * @param target path and query as they go on the wire, beginning with a slash
 */
record HttpUrl(String scheme, String host, int port, String target) {

  // Parameters that sign a request rather than name an object, in lower case.
  private static final Set<String> SIGNATURES =
      Set.of(
          "signature",
          "expires",
          "policy",
          "key-pair-id",
          "awsaccesskeyid",
          "googleaccessid",
          "token",
          "access_token",
          "auth",
          "sig",
          "hmac",
          "hdnea",
          "hdnts");

  // Those of an Azure shared access signature are so short that they count only beside "sig".
  private static final Set<String> SHARED_ACCESS =
      Set.of(
          "sv", "ss", "srt", "sp", "se", "st", "spr", "sr", "sip", "si", "skoid", "sktid", "skt",
          "ske", "sks", "skv");

  /**
   * Reads a URL; user info and fragment are left out.
   *
   * @throws IllegalArgumentException if it is none that can be asked; the message has no secrets
   */
  static HttpUrl of(URI uri) {
    String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
    if (!scheme.equals("http") && !scheme.equals("https")) {
      // Without slashes it may be no scheme: the user of user:password@host.
      boolean shown = uri.getRawSchemeSpecificPart().startsWith("//") && !scheme.isEmpty();
      throw new IllegalArgumentException(
          "not an http or https URL" + (shown ? ": " + scheme + "://…" : ""));
    }
    String authority = uri.getRawAuthority();
    if (authority == null) {
      throw new IllegalArgumentException("no host in the URL: " + scheme + ":…");
    }
    // Not URI.getHost: it is null for names with an underscore, which exist.
    authority = authority.substring(authority.lastIndexOf('@') + 1);
    String place = shownAuthority(uri, authority);
    int portAt = authority.lastIndexOf(':');
    if (portAt < authority.lastIndexOf(']')) {
      portAt = -1;
    }
    String host = portAt < 0 ? authority : authority.substring(0, portAt);
    int port = scheme.equals("https") ? 443 : 80;
    if (portAt >= 0 && portAt + 1 < authority.length()) {
      try {
        port = Integer.parseInt(authority.substring(portAt + 1));
      } catch (NumberFormatException e) {
        // Without the cause, which has what may be a password.
        throw new IllegalArgumentException("not a port in the URL: " + place);
      }
    }
    if (host.startsWith("[") && host.endsWith("]")) {
      host = host.substring(1, host.length() - 1);
    }
    if (!isAscii(host)) {
      try {
        host = IDN.toASCII(host);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("not a host's name in the URL: " + place);
      }
    }
    if (host.isEmpty() || port < 1 || port > 65535) {
      throw new IllegalArgumentException("not a host and port in the URL: " + place);
    }
    String path = uri.getRawPath() == null || uri.getRawPath().isEmpty() ? "/" : uri.getRawPath();
    String query = uri.getRawQuery();
    return new HttpUrl(
        scheme,
        host.toLowerCase(Locale.ROOT),
        port,
        encodeOther(query == null ? path : path + "?" + query));
  }

  // A password with a slash, a question mark or a number sign ends what is read as the authority,
  // which then has a part of it: http://user:pass/word@host.
  private static String shownAuthority(URI uri, String authority) {
    String text = uri.toString();
    String after = text.substring(text.indexOf(authority) + authority.length());
    return after.indexOf('@') < 0 ? Text.printable(authority) : "…";
  }

  private static boolean isAscii(String text) {
    return text.chars().allMatch(c -> c < 0x80);
  }

  // A URI may have letters of all languages; on the wire they are UTF-8, encoded.
  private static String encodeOther(String text) {
    if (isAscii(text)) {
      return text;
    }
    StringBuilder out = new StringBuilder(text.length() + 16);
    for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
      if (b >= 0) {
        out.append((char) b);
      } else {
        out.append('%').append(HexFormat.of().withUpperCase().toHexDigits(b));
      }
    }
    return out.toString();
  }

  /**
   * Resolves the value of a Location header (RFC 9110, section 10.2.2) against this URL.
   *
   * @throws IllegalArgumentException if it leads to no http(s) URL; the message has no secrets
   */
  HttpUrl resolve(String location) {
    URI reference = UriText.parse(encodeStray(location.trim()));
    if (reference.getScheme() == null
        && reference.getRawAuthority() == null
        && reference.getRawPath().isEmpty()
        && reference.getRawQuery() != null) {
      // URI.resolve drops the last segment of the base for a reference that is only a query.
      return new HttpUrl(scheme, host, port, path() + "?" + reference.getRawQuery());
    }
    return of(UriText.parse(toString()).resolve(reference));
  }

  // Servers send spaces, quotes and raw UTF-8 in Location; a browser encodes them, and so do we.
  private static String encodeStray(String text) {
    StringBuilder out = new StringBuilder(text.length());
    // Header values arrive as ISO 8859-1 characters, one per byte.
    for (byte b : text.getBytes(StandardCharsets.ISO_8859_1)) {
      char c = (char) (b & 0xff);
      if (c <= ' ' || c >= 0x7f || "\"<>\\^`{|}".indexOf(c) >= 0) {
        out.append('%').append(HexFormat.of().withUpperCase().toHexDigits(b));
      } else {
        out.append(c);
      }
    }
    return out.toString();
  }

  private String path() {
    int query = target.indexOf('?');
    return query < 0 ? target : target.substring(0, query);
  }

  boolean secure() {
    return scheme.equals("https");
  }

  /** Tells whether both have the same origin (RFC 9110, section 4.3.1): scheme, host and port. */
  boolean sameOrigin(HttpUrl other) {
    return scheme.equals(other.scheme) && host.equals(other.host) && port == other.port;
  }

  /** Gives the value of the Host header: the port only if it is not the scheme's own. */
  String authority() {
    String name = host.indexOf(':') >= 0 ? "[" + host + "]" : host;
    return port == (secure() ? 443 : 80) ? name : name + ":" + port;
  }

  /** Gives the URL as it may be logged: a query, which may hold a signature, is left out. */
  String shown() {
    return scheme + "://" + authority() + path() + (target.indexOf('?') < 0 ? "" : "?…");
  }

  /**
   * Gives the URL as it may be stored and compared: a digest stands for the query, from which
   * parameters that only sign the request are left out first.
   */
  String identity() {
    int at = target.indexOf('?');
    String query = at < 0 ? "" : withoutSignature(target.substring(at + 1));
    return scheme
        + "://"
        + authority()
        + path()
        + (query.isEmpty() ? "" : "?sha256=" + digest(query));
  }

  private static String withoutSignature(String query) {
    List<String> parameters = List.of(query.split("&", -1));
    boolean shared = parameters.stream().anyMatch(p -> nameOf(p).equals("sig"));
    return parameters.stream()
        .filter(
            p -> {
              String name = nameOf(p);
              return !name.isEmpty()
                  && !SIGNATURES.contains(name)
                  && !(shared && SHARED_ACCESS.contains(name))
                  && Stream.of("x-amz-", "x-goog-", "x-oss-").noneMatch(name::startsWith);
            })
        .collect(Collectors.joining("&"));
  }

  private static String nameOf(String parameter) {
    int equals = parameter.indexOf('=');
    return (equals < 0 ? parameter : parameter.substring(0, equals)).toLowerCase(Locale.ROOT);
  }

  private static String digest(String text) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }

  /** Gives the whole URL, with a query that may be secret: for requests, never for messages. */
  @Override
  public String toString() {
    return scheme + "://" + authority() + target;
  }
}
