/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.time.Instant;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A key pair for S3; its text form never shows the secret.
 *
 * @param accessKey the access key id
 * @param secretKey the secret access key
 * @param sessionToken the token of temporary credentials
 * @param expires when temporary credentials end, if that is known
 */
record S3Credentials(
    String accessKey, String secretKey, Optional<String> sessionToken, Optional<Instant> expires) {

  /** Reads credentials, anew each time, since temporary ones are replaced in place. */
  @FunctionalInterface
  interface Source {
    /** Reads them. */
    S3Credentials read() throws IOException;
  }

  S3Credentials(String accessKey, String secretKey, Optional<String> sessionToken) {
    this(accessKey, secretKey, sessionToken, Optional.empty());
  }

  /** Makes one of what may be missing or empty; empty without both keys. */
  static Optional<S3Credentials> of(
      @Nullable String access,
      @Nullable String secret,
      @Nullable String token,
      Optional<Instant> expires) {
    if (access == null || secret == null || access.isEmpty() || secret.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new S3Credentials(
            access, secret, Optional.ofNullable(token).filter(text -> !text.isEmpty()), expires));
  }

  /** Tells whether they are known to be of no use at a time. */
  boolean expiredAt(Instant time) {
    return expires.isPresent() && !expires.get().isAfter(time);
  }

  /** Names the key but not the secret. */
  @Override
  public String toString() {
    return "S3Credentials[" + accessKey + " …]";
  }
}
