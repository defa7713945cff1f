/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Objects;

/**
 * What is sent in the Authorization header; its text form never shows it.
 *
 * @since 0.1
 */
public final class HttpCredentials {

  private final String authorization;

  private HttpCredentials(String authorization) {
    if (authorization.chars().anyMatch(c -> c < ' ' || c == 0x7f)) {
      throw new IllegalArgumentException("control character in credentials");
    }
    this.authorization = authorization;
  }

  /**
   * Makes a user's name and password (RFC 7617).
   *
   * @param user the name, without a colon
   * @param password the password
   * @return the credentials
   * @throws IllegalArgumentException if the name has a colon, or either a control character
   */
  public static HttpCredentials basic(String user, String password) {
    if (user.indexOf(':') >= 0) {
      throw new IllegalArgumentException("a user name cannot have a colon");
    }
    byte[] pair = (user + ":" + password).getBytes(StandardCharsets.UTF_8);
    return new HttpCredentials("Basic " + Base64.getEncoder().encodeToString(pair));
  }

  /**
   * Makes a bearer token (RFC 6750).
   *
   * @param token the token
   * @return the credentials
   * @throws IllegalArgumentException if it is empty or has a control character
   */
  public static HttpCredentials bearer(String token) {
    if (token.isEmpty()) {
      throw new IllegalArgumentException("empty bearer token");
    }
    return new HttpCredentials("Bearer " + token);
  }

  /** Reads {@code user:password}. */
  static HttpCredentials ofPair(String pair) {
    int colon = pair.indexOf(':');
    if (colon < 0) {
      throw new IllegalArgumentException("not user:password");
    }
    return basic(pair.substring(0, colon), pair.substring(colon + 1));
  }

  String authorization() {
    return authorization;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof HttpCredentials that && authorization.equals(that.authorization);
  }

  @Override
  public int hashCode() {
    return Objects.hash(authorization);
  }

  /** Names the scheme only. */
  @Override
  public String toString() {
    return authorization.substring(0, authorization.indexOf(' ')) + " …";
  }
}
