/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
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
            + encode(key)
            + (uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery()));
  }

  // As the signature wants it: everything but unreserved characters and slashes, in upper case.
  private static String encode(String path) {
    StringBuilder out = new StringBuilder(path.length());
    for (byte b : path.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xff);
      boolean plain =
          (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9')
              || "-._~/".indexOf(c) >= 0;
      if (plain) {
        out.append(c);
      } else {
        out.append('%').append(HexFormat.of().withUpperCase().toHexDigits(b));
      }
    }
    return out.toString();
  }
}
