/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.SourceChangedException;
import io.uloop.SourceProtocolException;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A server without ranges: a small image is read whole for each read, a larger one refused. */
@Timeout(60)
final class HttpWholeImageTest {

  private static final int SIZE = Answers.MOST_WHOLE_BYTES;

  private LyingOrigin origin;

  private HttpBlockSource open(int size) throws IOException {
    origin = LyingOrigin.serving(LyingOrigin.image(21, size));
    origin.usually(Lie.IGNORE_RANGE);
    return HttpBlockSource.open(config(Duration.ofSeconds(3)).build());
  }

  // A second for the head of each answer, and much for all of them.
  private HttpBlockSource openPatient(int size) throws IOException {
    origin = LyingOrigin.serving(LyingOrigin.image(21, size));
    origin.usually(Lie.IGNORE_RANGE);
    HttpSourceConfig.Builder config = config(Duration.ofSeconds(20));
    config.answerTimeout = Duration.ofSeconds(1);
    return HttpBlockSource.open(config.build());
  }

  private HttpSourceConfig.Builder config(Duration timeout) {
    return HttpSourceConfig.builder(origin.uri())
        .timeout(timeout)
        .stallTimeout(Duration.ofMillis(300));
  }

  @AfterEach
  void stop() throws IOException {
    origin.close();
  }

  private static void reads(HttpBlockSource source, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    source.read(offset, dst);
    byte[] image = LyingOrigin.image(21, (int) source.size());
    assertThat(dst.array()).isEqualTo(Arrays.copyOfRange(image, offset, offset + length));
    assertThat(source.connections().leased()).as("connections leased").isZero();
    assertThat(source.buffers().lent() + BufferPool.DIRECT.lent()).as("buffers lent").isZero();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 511, 4096, 20_000, SIZE - 1, SIZE})
  void read_smallImage_givesAnySlice(int size) throws IOException {
    try (HttpBlockSource source = open(size)) {
      assertThat(source.size()).isEqualTo(size);
      assertThat(source.identity().validator()).isPresent();
      reads(source, 0, size);
      reads(source, size / 2, size - size / 2);
      reads(source, size - 1, 1);
      reads(source, 0, 1);
      reads(source, size / 3, Math.max(1, size / 5));
    }
  }

  @Test
  void open_oneByteTooLarge_isRefusedWithTheReason() {
    assertThatThrownBy(() -> open(SIZE + 1))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("does not serve byte ranges: it answered 200 to a request for one")
        .hasMessageContaining(" of " + (SIZE + 1));
  }

  @Test
  void read_shortRest_keepsTheConnection() throws IOException {
    try (HttpBlockSource source = open(10_000)) {
      for (int i = 0; i < 20; i++) {
        reads(source, i * 500, 500);
      }
      assertThat(origin.connections()).isEqualTo(1);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "NONE",
        "CHUNKED",
        "PART_OF_RANGE",
        "WHOLE_CHUNKED",
        "WHOLE_BREAK_OFF",
        "WHOLE_CODED",
        "MULTIPART",
        "BREAK_OFF",
        "RESET_BODY",
        "STALL_BODY",
        "TRICKLE_BODY",
        "STALL_HEAD",
        "CLOSE_HEAD",
        "UNAVAILABLE",
        "NOT_SATISFIABLE",
        "PRECONDITION_FAILED"
      })
  void read_onceOtherwise_givesTheBytes(Lie lie) throws IOException {
    try (HttpBlockSource source = openPatient(SIZE)) {
      origin.next(lie);
      reads(source, 40_000, 9_000);
      reads(source, 1_000, 60_000);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"WHOLE_CHUNKED", "WHOLE_CODED"})
  void read_alwaysWithoutLengthOrCoded_throwsProtocolException(Lie lie) throws IOException {
    try (HttpBlockSource source = open(SIZE)) {
      origin.always(lie);
      assertThatThrownBy(() -> reads(source, 5, 50)).isInstanceOf(SourceProtocolException.class);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"WHOLE_SHORTER", "WHOLE_OTHER_ETAG"})
  void read_otherImage_throwsChangedAndHandsOverNothing(Lie lie) throws IOException {
    try (HttpBlockSource source = open(SIZE)) {
      origin.always(lie);
      ByteBuffer dst = ByteBuffer.allocate(100);
      assertThatThrownBy(() -> source.read(5, dst)).isInstanceOf(SourceChangedException.class);
      assertThat(dst.position()).isZero();
    }
  }

  @Test
  void read_bodyAlwaysBreaksOffBeforeTheSlice_failsAtTheDeadline() throws IOException {
    try (HttpBlockSource source = open(SIZE)) {
      origin.always(Lie.WHOLE_BREAK_OFF);
      reads(source, 0, SIZE / 2);
      assertThatThrownBy(() -> reads(source, SIZE - 100, 100))
          .isInstanceOf(SourceUnavailableException.class)
          .hasMessageContaining("the body ended after " + SIZE / 2 + " of " + SIZE + " bytes");
    }
  }

  @Test
  void open_bodyComesShort_isNotOpened() throws IOException {
    origin = LyingOrigin.serving(LyingOrigin.image(21, 5_000));
    origin.always(Lie.WHOLE_BREAK_OFF);

    assertThatThrownBy(() -> HttpBlockSource.open(HttpSourceConfig.builder(origin.uri()).build()))
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessageContaining("expected: 5000; received: 2500");
  }

  @Test
  void read_rangesIgnoredLater_smallImageIsStillRead() throws IOException {
    origin = LyingOrigin.serving(LyingOrigin.image(21, 30_000));
    try (HttpBlockSource source =
        HttpBlockSource.open(HttpSourceConfig.builder(origin.uri()).build())) {
      reads(source, 100, 1_000);
      origin.usually(Lie.IGNORE_RANGE);
      reads(source, 20_000, 1_000);
    }
  }
}
