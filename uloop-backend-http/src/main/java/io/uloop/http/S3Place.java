/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Turns {@code s3://bucket/key} into the URL that is asked. */
final class S3Place {

  private S3Place() {}

  /**
   * Gives the URL of an object.
   *
   * @param uri {@code s3://bucket/key}
   * @param endpoint an http or https URL; null for that of the region at AWS
   * @param region the region
   * @param pathStyle whether the bucket is in the path; null to decide: it is with an endpoint of
   *     one's own, and where its name could not be a host's
   * @throws IllegalArgumentException if there is no bucket or no key, or the endpoint is no URL
   *     that can be asked; the message has no secrets
   */
  static URI url(URI uri, @Nullable URI endpoint, String region, @Nullable Boolean pathStyle) {
    String bucket = uri.getAuthority();
    String key = uri.getPath();
    if (bucket == null || bucket.isEmpty() || key == null || key.length() < 2) {
      throw new IllegalArgumentException("not s3://bucket/key: " + uri.getScheme() + ":…");
    }
    if (bucket.indexOf('@') >= 0) {
      // It would be taken for a part of the bucket's name, which is shown.
      throw new IllegalArgumentException("user info in s3://bucket/key: keys are set otherwise");
    }
    URI base =
        endpoint != null ? endpoint : UriText.parse("https://s3." + region + ".amazonaws.com");
    try {
      HttpUrl.of(base);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("the endpoint of S3: " + e.getMessage(), e);
    }
    boolean inPath =
        pathStyle != null ? pathStyle : endpoint != null || !bucket.matches("[a-z0-9-]{3,63}");
    String root = base.getRawPath() == null ? "" : base.getRawPath().replaceFirst("/+$", "");
    String authority = inPath ? base.getRawAuthority() : bucket + "." + base.getRawAuthority();
    return UriText.parse(
        base.getScheme()
            + "://"
            + authority
            + root
            + (inPath ? "/" + bucket : "")
            + encode(key.getBytes(StandardCharsets.UTF_8), "/")
            + (uri.getRawQuery() == null ? "" : "?" + encodeQuery(uri.getRawQuery())));
  }

  /**
   * Encodes a query anew as the signature wants it, so that what goes on the wire is what is
   * signed, whatever a server takes a plus or a slash for. Each escape is decoded once; {@code &}
   * and the first {@code =} of a parameter are kept.
   */
  static String encodeQuery(String query) {
    return Stream.of(query.split("&", -1))
        .map(
            parameter -> {
              int equals = parameter.indexOf('=');
              return equals < 0
                  ? encode(decode(parameter), "")
                  : encode(decode(parameter.substring(0, equals)), "")
                      + "="
                      + encode(decode(parameter.substring(equals + 1)), "");
            })
        .collect(Collectors.joining("&"));
  }

  // A plus is one: that it means a space is a rule of forms. A percent sign that is no escape's
  // too.
  private static byte[] decode(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    ByteArrayOutputStream out = new ByteArrayOutputStream(bytes.length);
    for (int i = 0; i < bytes.length; i++) {
      boolean escape =
          bytes[i] == '%'
              && i + 2 < bytes.length
              && HexFormat.isHexDigit(bytes[i + 1])
              && HexFormat.isHexDigit(bytes[i + 2]);
      if (escape) {
        out.write(HexFormat.fromHexDigit(bytes[i + 1]) << 4 | HexFormat.fromHexDigit(bytes[i + 2]));
        i += 2;
      } else {
        out.write(bytes[i]);
      }
    }
    return out.toByteArray();
  }

  // As the signature wants it: everything but unreserved characters, in upper case.
  private static String encode(byte[] text, String kept) {
    StringBuilder out = new StringBuilder(text.length);
    for (byte b : text) {
      char c = (char) (b & 0xff);
      boolean plain =
          (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9')
              || ("-._~" + kept).indexOf(c) >= 0;
      if (plain) {
        out.append(c);
      } else {
        out.append('%').append(HexFormat.of().withUpperCase().toHexDigits(b));
      }
    }
    return out.toString();
  }
}
