/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.time.Instant;
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
