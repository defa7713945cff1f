/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Judges the heads of answers; nothing of a body is used before its head was found right here. Of
 * the body of an error, the code in it is shown.
 *
 * <p><b>Source:</b> RFC 9110 (sections 13 to 15), the table in docs/http-source.md.
 */
final class Answers {

  /** Longer requests to be left alone are cut to this, so that a mistake cannot stop a device. */
  static final Duration LONGEST_RETRY_AFTER = Duration.ofSeconds(30);

  /**
   * An image up to this size is read from a server without ranges: whole, for each read. It is what
   * the cache asks for at most to serve one random read, so no read costs more than with ranges.
   */
  static final int MOST_WHOLE_BYTES = 64 * 1024;

  /**
   * The part of a body that was asked for.
   *
   * @param skip how many bytes come before it
   * @param take how many bytes it has
   * @param rest how many bytes come after it
   */
  record Slice(long skip, long take, long rest) {}

  private Answers() {}

  /**
   * Judges the answer to a ranged GET.
   *
   * @param answer the answer
   * @param pinned what the image was at open
   * @param first the first byte asked for
   * @param last the last byte asked for
   * @return which bytes of the body are those from {@code first} on; one or more
   * @throws AttemptFailure if the body must not be used
   */
  static Slice slice(Exchange answer, Generation pinned, long first, long last)
      throws AttemptFailure {
    int status = answer.status();
    if (status == 206) {
      return partial(answer, pinned, first, last);
    } else if (status == 200) {
      return whole(answer, pinned, first, last);
    } else if (status == 416) {
      throw unsatisfied(answer, pinned);
    }
    throw refusal(answer);
  }

  private static Slice partial(Exchange answer, Generation pinned, long first, long last)
      throws AttemptFailure {
    ContentRange range = contentRange(answer);
    if (range.total() >= 0 && range.total() != pinned.size()) {
      // The validator says more than the size does, if it has changed as well.
      pinned.check(answer);
      throw pinned.otherSize(range.total());
    }
    pinned.check(answer);
    // A server may send less than was asked (RFC 9110, section 15.3.7); the rest is asked again.
    if (range.first() != first || range.last() > last) {
      throw new AttemptFailure(
          Kind.PROTOCOL,
          "asked for bytes " + first + "-" + last + ", got " + range.first() + "-" + range.last());
    }
    long length = range.last() - range.first() + 1;
    checkBody(answer, length);
    return new Slice(0, length, 0);
  }

  private static ContentRange contentRange(Exchange answer) throws AttemptFailure {
    String value = answer.header("Content-Range");
    if (value == null) {
      String type = answer.header("Content-Type");
      boolean multipart =
          type != null && type.toLowerCase(Locale.ROOT).startsWith("multipart/byteranges");
      throw new AttemptFailure(
          Kind.PROTOCOL,
          multipart ? "206 with a multipart body for one range" : "206 without Content-Range");
    }
    ContentRange range = ContentRange.parse(value).orElse(null);
    if (range == null || range.first() < 0) {
      throw new AttemptFailure(
          Kind.PROTOCOL, "206 with Content-Range '" + Text.printable(value) + "'");
    }
    return range;
  }

  private static Slice whole(Exchange answer, Generation pinned, long first, long last)
      throws AttemptFailure {
    pinned.check(answer);
    long length = answer.contentLength();
    if (length >= 0 && length != pinned.size() && answer.header("Content-Encoding") == null) {
      throw pinned.otherSize(length);
    }
    boolean asked = first == 0 && last == pinned.size() - 1;
    if (!asked && pinned.size() > MOST_WHOLE_BYTES) {
      throw new AttemptFailure(
          Kind.NO_RANGES, "the server ignored the range and answered 200 with the whole image");
    }
    if (length != pinned.size()) {
      // Without a length, an image that was cut short could not be told from a whole one.
      throw new AttemptFailure(Kind.PROTOCOL, "200 without a Content-Length");
    }
    checkBody(answer, length);
    return new Slice(first, last - first + 1, length - 1 - last);
  }

  private static void checkBody(Exchange answer, long length) throws AttemptFailure {
    String coding = answer.header("Content-Encoding");
    if (coding != null && !coding.isEmpty() && !coding.equalsIgnoreCase("identity")) {
      throw new AttemptFailure(
          Kind.PROTOCOL, "the body is content-coded: " + Text.printable(coding));
    }
    long announced = answer.contentLength();
    if (announced >= 0 && announced != length) {
      throw new AttemptFailure(
          Kind.PROTOCOL, "Content-Length " + announced + " for " + length + " bytes");
    }
  }

  private static AttemptFailure unsatisfied(Exchange answer, Generation pinned)
      throws AttemptFailure {
    // An error need not carry a validator; one that does may tell of a change.
    if (pinned.isSaidBy(answer)) {
      pinned.check(answer);
    }
    String value = answer.header("Content-Range");
    ContentRange range = value == null ? null : ContentRange.parse(value).orElse(null);
    if (range != null && range.total() >= 0 && range.total() != pinned.size()) {
      return pinned.otherSize(range.total());
    }
    return new AttemptFailure(
        Kind.PROTOCOL, "416 for a range within the image's " + pinned.size() + " bytes");
  }

  /** Turns a status that gives no bytes into the failure that it means. */
  static AttemptFailure refusal(Exchange answer) {
    String line =
        answer.statusLine() + answer.errorCode().map(code -> " (" + code + ")").orElse("");
    int status = answer.status();
    return switch (status) {
      case 401 -> new AttemptFailure(Kind.UNAUTHORIZED, line);
      case 400, 403, 404, 410 -> new AttemptFailure(Kind.GONE, line);
      case 412 -> new AttemptFailure(Kind.PRECONDITION, line);
      case 408, 425, 429 -> unavailable(answer, line);
      case 501, 505 -> new AttemptFailure(Kind.REFUSED, line);
      default -> {
        if (status >= 500) {
          yield unavailable(answer, line);
        }
        yield new AttemptFailure(status >= 400 ? Kind.REFUSED : Kind.PROTOCOL, line);
      }
    };
  }

  private static AttemptFailure unavailable(Exchange answer, String line) {
    Duration wait = retryAfter(answer.header("Retry-After"), Instant.now());
    return new AttemptFailure(
        Kind.UNREACHABLE,
        wait.isZero() ? line : line + ", Retry-After " + (wait.toMillis() + 999) / 1000 + " s",
        null,
        wait);
  }

  /**
   * Reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or a date.
   *
   * @return zero if there is none or it makes no sense, and at most {@link #LONGEST_RETRY_AFTER}
   */
  static Duration retryAfter(@Nullable String value, Instant now) {
    if (value == null || value.isEmpty()) {
      return Duration.ZERO;
    }
    Duration wait;
    try {
      wait =
          value.chars().allMatch(c -> c >= '0' && c <= '9')
              ? Duration.ofSeconds(value.length() > 9 ? 999_999_999 : Long.parseLong(value))
              : Duration.between(
                  now,
                  ZonedDateTime.parse(value, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant());
    } catch (DateTimeParseException e) {
      return Duration.ZERO;
    }
    if (wait.isNegative()) {
      return Duration.ZERO;
    }
    return wait.compareTo(LONGEST_RETRY_AFTER) > 0 ? LONGEST_RETRY_AFTER : wait;
  }
}
