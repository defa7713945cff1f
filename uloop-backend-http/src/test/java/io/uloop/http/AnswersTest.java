/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.TestSeed;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Header values that decide what an answer is worth. */
@Timeout(30)
final class AnswersTest {

  private static final Instant NOW = Instant.parse("2008-06-03T11:05:30Z");

  @ParameterizedTest
  @CsvSource({
    "bytes 0-0/1, 0, 0, 1",
    "Bytes  5-9/*, 5, 9, -1",
    "bytes */0, -1, -1, 0",
    "bytes 0-999999999999999999/*, 0, 999999999999999999, -1",
  })
  void contentRange_sensible_isRead(String value, long first, long last, long total) {
    assertThat(ContentRange.parse(value)).contains(new ContentRange(first, last, total));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "bytes",
        "bytes=0-1/2",
        "bytes 2-1/5",
        "bytes 0-5/5",
        "bytes */*",
        "bytes -1-2/5",
        "bytes 0-1/2, bytes 3-4/5",
        "items 0-1/2",
        "bytes 0-99999999999999999999/*"
      })
  void contentRange_senseless_isEmpty(String value) {
    assertThat(ContentRange.parse(value)).isEmpty();
  }

  /** The syntax once more, as RFC 9110 writes it. */
  private static final Pattern SYNTAX =
      Pattern.compile("(?i)bytes[ \\t]+(?:(\\d{1,18})-(\\d{1,18})|\\*)/(\\d{1,18}|\\*)");

  private static Optional<ContentRange> bySyntax(String value) {
    Matcher matcher = SYNTAX.matcher(value.trim());
    if (!matcher.matches()) {
      return Optional.empty();
    }
    boolean anySize = matcher.group(3).equals("*");
    long total = anySize ? -1 : Long.parseLong(matcher.group(3));
    if (matcher.group(1) == null) {
      return anySize ? Optional.empty() : Optional.of(new ContentRange(-1, -1, total));
    }
    long first = Long.parseLong(matcher.group(1));
    long last = Long.parseLong(matcher.group(2));
    return first <= last && (anySize || last < total)
        ? Optional.of(new ContentRange(first, last, total))
        : Optional.empty();
  }

  @Test
  void contentRange_anyText_isReadAsTheSyntaxSays() {
    Random random = TestSeed.random("AnswersTest");
    List<String> parts =
        List.of(
            "bytes", "Bytes", "byte", " ", "\t", "*", "-", "/", "0", "5", "12", "9999", "+", ",");
    int read = 0;
    for (int round = 0; round < 20_000 || read < 500; round++) {
      StringBuilder text = new StringBuilder();
      if (random.nextBoolean()) {
        text.append("bytes ");
        text.append(random.nextInt(5) == 0 ? "*" : random.nextInt(20) + "-" + random.nextInt(20));
        text.append('/').append(random.nextInt(4) == 0 ? "*" : random.nextInt(30));
      }
      for (int changes = random.nextInt(4); changes > 0; changes--) {
        int at = random.nextInt(text.length() + 1);
        if (random.nextBoolean() || at == text.length()) {
          text.insert(at, parts.get(random.nextInt(parts.size())));
        } else {
          text.deleteCharAt(at);
        }
      }
      Optional<ContentRange> expected = bySyntax(text.toString());
      assertThat(ContentRange.parse(text.toString())).as("'%s'", text).isEqualTo(expected);
      read += expected.isPresent() ? 1 : 0;
    }
    String digits = "1".repeat(18);
    assertThat(ContentRange.parse("bytes 1-1/" + digits))
        .isEqualTo(bySyntax("bytes 1-1/" + digits));
    assertThat(ContentRange.parse("bytes 1-1/1" + digits)).isEmpty();
  }

  @Test
  void retryAfter_secondsOrDate_isReadAndLimited() {
    assertThat(Answers.retryAfter("7", NOW)).isEqualTo(Duration.ofSeconds(7));
    assertThat(Answers.retryAfter("Tue, 03 Jun 2008 11:05:42 GMT", NOW))
        .isEqualTo(Duration.ofSeconds(12));
    assertThat(Answers.retryAfter("99999999999999", NOW)).isEqualTo(Answers.LONGEST_RETRY_AFTER);
    assertThat(Answers.retryAfter("Tue, 03 Jun 2008 11:05:00 GMT", NOW)).isZero();
    assertThat(Answers.retryAfter("soon", NOW)).isZero();
    assertThat(Answers.retryAfter(null, NOW)).isZero();
  }

  @Test
  void printable_controlCharacters_cannotForgeALine() {
    assertThat(Text.printable("a\r\nWARNING: b\u001b[2J")).isEqualTo("a??WARNING: b?[2J");
    assertThat(Text.printable("x".repeat(500))).hasSizeLessThan(130);
  }
}
