/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

/** Looks at text that is to be stored as a line of UTF-8, and read again as the same. */
final class StoredText {

  private StoredText() {}

  /** Where the first half of a surrogate pair without its other half is; -1 if there is none. */
  static int loneSurrogate(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (Character.isHighSurrogate(text.charAt(i))
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        i++;
      } else if (Character.isSurrogate(text.charAt(i))) {
        return i;
      }
    }
    return -1;
  }

  /** Where the first control character or line separator is; -1 if there is none. */
  static int control(String text) {
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (Character.isISOControl(c) || c == '\u2028' || c == '\u2029') {
        return i;
      }
    }
    return -1;
  }

  /** Where the first line feed or carriage return is; -1 if there is none. */
  static int lineBreak(String text) {
    for (int i = 0; i < text.length(); i++) {
      if (text.charAt(i) == '\n' || text.charAt(i) == '\r') {
        return i;
      }
    }
    return -1;
  }

  /**
   * Refuses a character.
   *
   * @param at where it is; -1 for none
   * @throws IllegalArgumentException if there is one; the message itself has none of them
   */
  static void refuse(String what, String text, int at) {
    if (at >= 0) {
      StringBuilder shown = new StringBuilder();
      for (int i = 0; i < text.length(); i++) {
        char c = text.charAt(i);
        boolean odd = Character.isISOControl(c) || c == '\u2028' || c == '\u2029';
        shown.append(odd || Character.isSurrogate(c) ? '?' : c);
      }
      throw new IllegalArgumentException(
          String.format(
              "U+%04X at index %d cannot be stored: %s=%s",
              (int) text.charAt(at), at, what, shown));
    }
  }
}
