/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.URI;
import java.net.URISyntaxException;

/**
 * Reads the text of URLs that a user, the environment or a server gave. A message of {@link URI}
 * has all of the text, with whatever is secret in it, and so is neither shown nor made a cause.
 */
final class UriText {

  private UriText() {}

  /**
   * Reads one.
   *
   * @throws IllegalArgumentException if it is none; the message says what is wrong at which
   *     character, and has nothing of the text
   */
  static URI parse(String text) {
    return parse("", text);
  }

  /**
   * Reads one that may go without its beginning.
   *
   * @param before what is put before the text; it counts for nothing where a character is numbered
   */
  static URI parse(String before, String text) {
    try {
      return new URI(before + text);
    } catch (URISyntaxException e) {
      int at = e.getIndex() - before.length();
      throw new IllegalArgumentException(
          "not a URL: " + e.getReason() + (at < 0 ? "" : " at index " + at));
    }
  }
}
