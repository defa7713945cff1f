/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The value of a Content-Range header (RFC 9110, section 14.4).
 *
 * @param first the first byte, -1 for an unsatisfied range ({@code *})
 * @param last the last byte, inclusive as on the wire; -1 for an unsatisfied range
 * @param total the whole size, -1 if unknown ({@code *})
 */
record ContentRange(long first, long last, long total) {

  // 18 digits always fit a long.
  private static final Pattern SYNTAX =
      Pattern.compile("(?i)bytes[ \\t]+(?:(\\d{1,18})-(\\d{1,18})|\\*)/(\\d{1,18}|\\*)");

  /** Reads a header value; empty if it is not a byte range that makes sense. */
  static Optional<ContentRange> parse(String value) {
    Matcher matcher = SYNTAX.matcher(value.trim());
    if (!matcher.matches()) {
      return Optional.empty();
    }
    boolean unsatisfied = matcher.group(1) == null;
    long first = unsatisfied ? -1 : Long.parseLong(matcher.group(1));
    long last = unsatisfied ? -1 : Long.parseLong(matcher.group(2));
    long total = matcher.group(3).equals("*") ? -1 : Long.parseLong(matcher.group(3));
    boolean sensible = unsatisfied ? total >= 0 : first <= last && (total < 0 || last < total);
    return sensible ? Optional.of(new ContentRange(first, last, total)) : Optional.empty();
  }
}
