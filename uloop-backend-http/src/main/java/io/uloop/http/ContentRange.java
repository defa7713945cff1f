/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.Optional;

/**
 * The value of a Content-Range header (RFC 9110, section 14.4).
 *
 * @param first the first byte, -1 for an unsatisfied range ({@code *})
 * @param last the last byte, inclusive as on the wire; -1 for an unsatisfied range
 * @param total the whole size, -1 if unknown ({@code *})
 */
record ContentRange(long first, long last, long total) {

  private static final String UNIT = "bytes";

  /** So many digits always fit a long. */
  private static final int MOST_DIGITS = 18;

  private static final long NOT_A_NUMBER = -1;

  /**
   * Reads a header value; empty if it is not a byte range that makes sense.
   *
   * <p>By hand, as each answer has one: by a regular expression it was a fifth of the processor
   * time of the fetches of random reads, in the first seconds of a JVM.
   */
  static Optional<ContentRange> parse(String text) {
    String value = text.trim();
    int slash = value.indexOf('/');
    if (slash < 0 || !value.regionMatches(true, 0, UNIT, 0, UNIT.length())) {
      return Optional.empty();
    }
    int start = UNIT.length();
    while (start < slash && (value.charAt(start) == ' ' || value.charAt(start) == '\t')) {
      start++;
    }
    boolean anySize = isStar(value, slash + 1, value.length());
    long total = number(value, slash + 1, value.length());
    if (start == UNIT.length() || (!anySize && total == NOT_A_NUMBER)) {
      return Optional.empty();
    }
    if (isStar(value, start, slash)) {
      return anySize ? Optional.empty() : Optional.of(new ContentRange(-1, -1, total));
    }
    int dash = value.indexOf('-', start);
    if (dash < 0 || dash > slash) {
      return Optional.empty();
    }
    long first = number(value, start, dash);
    long last = number(value, dash + 1, slash);
    boolean sensible =
        first != NOT_A_NUMBER && last != NOT_A_NUMBER && first <= last && (anySize || last < total);
    return sensible
        ? Optional.of(new ContentRange(first, last, anySize ? -1 : total))
        : Optional.empty();
  }

  private static boolean isStar(String text, int from, int to) {
    return to - from == 1 && text.charAt(from) == '*';
  }

  private static long number(String text, int from, int to) {
    if (to <= from || to - from > MOST_DIGITS) {
      return NOT_A_NUMBER;
    }
    long number = 0;
    for (int i = from; i < to; i++) {
      int digit = text.charAt(i) - '0';
      if (digit < 0 || digit > 9) {
        return NOT_A_NUMBER;
      }
      number = number * 10 + digit;
    }
    return number;
  }
}
