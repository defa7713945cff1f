/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.net.URI;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * What a pair in the user's cache is named after: the image, however its URL is written or signed.
 *
 * <p>The HTTP source has the same rule for the identity that a pair keeps, but knows it only when
 * it has reached the server, and the pair has to be found while that is down. Where the two should
 * differ, nothing is mixed: the identity has the last word. A test holds one against the other.
 */
final class ImageName {

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

  private static final List<String> SIGNATURE_PREFIXES = List.of("x-amz-", "x-goog-", "x-oss-");

  // So short that they count only beside "sig".
  private static final Set<String> SHARED_ACCESS =
      Set.of(
          "sv", "ss", "srt", "sp", "se", "st", "spr", "sr", "sip", "si", "skoid", "sktid", "skt",
          "ske", "sks", "skv");

  private ImageName() {}

  /** Gives the URL as it is, but without a password: what pairs were named after before. */
  static String asWritten(URI uri) {
    return uri.toString().replaceFirst("//[^/]*@", "//");
  }

  /** Gives the image's name; of a URL that is in order and has no signature, the URL itself. */
  static String of(URI uri) {
    String scheme = uri.getScheme() == null ? "" : uri.getScheme().toLowerCase(Locale.ROOT);
    String authority = uri.getRawAuthority();
    if (authority == null || !(scheme.equals("http") || scheme.equals("https"))) {
      return asWritten(uri);
    }
    String host = authority.substring(authority.lastIndexOf('@') + 1).toLowerCase(Locale.ROOT);
    String path = uri.getRawPath() == null || uri.getRawPath().isEmpty() ? "/" : uri.getRawPath();
    String query = uri.getRawQuery() == null ? "" : withoutSignature(uri.getRawQuery());
    return scheme
        + "://"
        + host.replaceFirst(scheme.equals("https") ? ":(443)?$" : ":(80)?$", "")
        + path
        + (query.isEmpty() ? "" : "?" + query);
  }

  private static String withoutSignature(String query) {
    List<String> parameters = List.of(query.split("&", -1));
    boolean shared = parameters.stream().anyMatch(p -> nameOf(p).equals("sig"));
    return parameters.stream()
        .filter(p -> !signs(nameOf(p), shared))
        .collect(Collectors.joining("&"));
  }

  private static boolean signs(String name, boolean shared) {
    return name.isEmpty()
        || SIGNATURES.contains(name)
        || (shared && SHARED_ACCESS.contains(name))
        || SIGNATURE_PREFIXES.stream().anyMatch(name::startsWith);
  }

  private static String nameOf(String parameter) {
    int equals = parameter.indexOf('=');
    return (equals < 0 ? parameter : parameter.substring(0, equals)).toLowerCase(Locale.ROOT);
  }
}
