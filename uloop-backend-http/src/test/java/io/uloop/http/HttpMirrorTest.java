/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.Metronome;
import io.uloop.SourceChangedException;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Several URLs of one image: failover, what counts as the same image, hedging. */
@Timeout(60)
final class HttpMirrorTest {

  private static final byte[] IMAGE = LyingOrigin.image(5, 200_000);

  private LyingOrigin first;
  private LyingOrigin second;

  @BeforeEach
  void start() throws IOException {
    first = LyingOrigin.serving(IMAGE);
    second = LyingOrigin.serving(IMAGE);
  }

  @AfterEach
  void stop() throws IOException {
    first.close();
    second.close();
  }

  private HttpSourceConfig.Builder config() {
    return HttpSourceConfig.builder(first.uri())
        .mirror(second.uri())
        .timeout(Duration.ofSeconds(10))
        .stallTimeout(Duration.ofMillis(400));
  }

  private static void reads(HttpBlockSource source, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    source.read(offset, dst);
    assertThat(Arrays.equals(dst.array(), Arrays.copyOfRange(IMAGE, offset, offset + length)))
        .isTrue();
  }

  private static void assertNothingLent(HttpBlockSource source) {
    assertThat(source.connections().leased()).as("connections leased").isZero();
    assertThat(source.buffers().lent() + BufferPool.DIRECT.lent()).as("buffers lent").isZero();
  }

  @Test
  void open_firstDown_opensFromTheMirrorUnderTheFirstsName() throws IOException {
    first.down();

    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      assertThat(source.identity().uri()).isEqualTo(first.uri().toString());
      reads(source, 10, 100_000);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "NOT_FOUND",
        "GONE",
        "FORBIDDEN",
        "UNAUTHORIZED",
        "BAD_REQUEST",
        "INTERNAL_ERROR",
        "UNAVAILABLE",
        "IGNORE_RANGE",
        "CLOSE_HEAD",
        "GARBAGE",
        "REDIRECT_LOOP",
        "MULTIPART",
        "WHOLE_BREAK_OFF"
      })
  void open_firstFails_opensFromTheMirrorAndReadsThereFirst(Lie lie) throws IOException {
    first.always(lie);

    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.forgetRequests();
      reads(source, 10, 100_000);
      assertThat(first.requests()).isEmpty();
      assertThat(source.identity().uri()).isEqualTo(first.uri().toString());
      assertNothingLent(source);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"STALL_HEAD", "TRICKLE_HEAD", "ENDLESS_HINTS"})
  void open_firstNeverAnswers_leavesTimeForTheMirror(Lie lie) throws IOException {
    first.always(lie);
    HttpSourceConfig.Builder config = config().timeout(Duration.ofSeconds(20));
    config.answerTimeout = Duration.ofSeconds(1);

    try (HttpBlockSource source = HttpBlockSource.open(config.build())) {
      reads(source, 10, 100_000);
    }
  }

  @Test
  void open_noneGivesTheImage_saysWhyOfEachWithoutSecrets() {
    first.always(Lie.NOT_FOUND);
    second.always(Lie.FORBIDDEN);
    URI secret = URI.create(second.uri("/x?token=t0ken").toString().replace("//", "//me:pw@"));

    assertThatThrownBy(
            () ->
                HttpBlockSource.open(HttpSourceConfig.builder(first.uri()).mirror(secret).build()))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessage(
            "open: none of 2 URLs gives the image: "
                + first.uri()
                + ": 404 Not Found; "
                + second.uri("/x?…")
                + ": 403 Forbidden");
  }

  @Test
  void open_oneDownOneRefuses_isUnavailable() throws IOException {
    first.always(Lie.NOT_FOUND);
    second.down();

    assertThatThrownBy(() -> HttpBlockSource.open(config().build()))
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessageContaining("404 Not Found; ")
        .hasMessageContaining("connection refused");
  }

  @Test
  void read_firstComesBackAfterOpen_isUsedIfItHasTheSameImage() throws IOException {
    first.always(Lie.NOT_FOUND);
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.always(Lie.NONE);
      second.down();

      reads(source, 0, 50_000);
    }
  }

  @Test
  void read_firstComesBackWithAnotherImage_isNotUsed() throws IOException {
    first.always(Lie.NOT_FOUND);
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.replace(LyingOrigin.image(6, IMAGE.length), "\"other\"");
      first.validators("\"other\"", "Wed, 04 Jun 2008 11:05:30 GMT");
      first.always(Lie.NONE);
      second.always(Lie.NOT_FOUND);

      assertThatThrownBy(() -> reads(source, 0, 4096)).isInstanceOf(UloopException.class);
      second.always(Lie.NONE);
      reads(source, 0, 50_000);
    }
  }

  @Test
  void read_mirrorOfAnotherSize_isNotUsedEvenIfTheSizeIsAllThatCounts() throws IOException {
    second.replace(LyingOrigin.image(5, IMAGE.length - 1), "\"v1-" + IMAGE.length + "\"");
    try (HttpBlockSource source = HttpBlockSource.open(config().mirrorsBySize(true).build())) {
      first.always(Lie.FORBIDDEN);

      assertThatThrownBy(() -> reads(source, 0, 4096))
          .isInstanceOf(UloopException.class)
          .hasMessageContaining((IMAGE.length - 1) + " bytes");
    }
  }

  @Test
  void read_firstGoesDown_goesOnWithTheMirrorAtOnce() throws IOException {
    try (Metronome metronome = Metronome.start();
        HttpBlockSource source = HttpBlockSource.open(config().build())) {
      reads(source, 0, 4096);
      first.down();
      long started = System.nanoTime();

      reads(source, 4096, 100_000);

      assertThat(System.nanoTime() - started)
          .isLessThan(TimeUnit.SECONDS.toNanos(2) + metronome.slackNanos());
      assertThat(second.requests()).isNotEmpty();
      assertNothingLent(source);
    }
  }

  @Test
  void read_bodyBreaksOff_restComesFromTheMirror() throws IOException {
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.always(Lie.BREAK_OFF);

      reads(source, 0, 20_000);

      assertThat(second.requests()).isNotEmpty();
    }
  }

  @Test
  void read_firstRefuses_goesOnWithTheMirror() throws IOException {
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.always(Lie.NOT_FOUND);

      reads(source, 0, 20_000);
      first.forgetRequests();
      reads(source, 20_000, 20_000);

      assertThat(first.requests()).as("left alone for a while").isEmpty();
    }
  }

  @Test
  void read_allRefuse_isRefusedAtOnce() throws IOException {
    try (Metronome metronome = Metronome.start();
        HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.always(Lie.NOT_FOUND);
      second.when(request -> request.first() == 4096, Lie.FORBIDDEN);
      long started = System.nanoTime();

      assertThatThrownBy(() -> reads(source, 4096, 4096))
          .isInstanceOf(SourceRefusedException.class);
      assertThat(System.nanoTime() - started)
          .isLessThan(TimeUnit.SECONDS.toNanos(3) + metronome.slackNanos());
    }
  }

  @Test
  void read_firstDownAndMirrorIsNone_waitsForTheFirst() throws Exception {
    second.validators("\"other\"", null);
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.down();
      CompletableFuture<Void> read =
          CompletableFuture.runAsync(
              () -> {
                try {
                  reads(source, 0, 4096);
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              });
      while (second.requests().isEmpty()) {
        Thread.onSpinWait();
      }
      first.up();

      read.get(9, TimeUnit.SECONDS);
    }
  }

  @Test
  void read_firstHasAnotherImageNow_goesOnWithTheMirror() throws IOException {
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.replace(LyingOrigin.image(6, IMAGE.length), "\"new\"");

      reads(source, 0, IMAGE.length);
    }
  }

  @Test
  void read_mirrorHasAnotherImage_isNotUsed() throws IOException {
    second.replace(LyingOrigin.image(6, IMAGE.length), "\"other\"");
    second.validators("\"other\"", "Wed, 04 Jun 2008 11:05:30 GMT");
    try (HttpBlockSource source = HttpBlockSource.open(config().build())) {
      first.replace(LyingOrigin.image(6, IMAGE.length), "\"new\"");

      assertThatThrownBy(() -> reads(source, 0, 4096)).isInstanceOf(SourceChangedException.class);
    }
  }

  @Test
  void read_mirrorOfSameSizeOnly_isUsedIfThatIsSaidToBeEnough() throws IOException {
    second.validators("\"other\"", null);
    try (HttpBlockSource source = HttpBlockSource.open(config().mirrorsBySize(true).build())) {
      first.down();

      reads(source, 0, 50_000);
    }
  }

  @Test
  void sameImage_digestsDiffer_isNotWhateverElseAgrees() {
    Generation one =
        new Generation(
            5, java.util.Optional.empty(), java.util.Set.of("ETag \"a\"", "Repr-Digest x"));
    Generation two =
        new Generation(
            5, java.util.Optional.empty(), java.util.Set.of("ETag \"a\"", "Repr-Digest y"));

    assertThat(one.sameImage(two)).isFalse();
    assertThat(one.sameImage(one)).isTrue();
  }

  @Test
  void read_firstSlow_isAnsweredByTheMirrorWithinTheCap() throws IOException {
    try (Metronome metronome = Metronome.start();
        HttpBlockSource source = HttpBlockSource.open(config().build())) {
      for (int i = 0; i < 64; i++) {
        reads(source, i * 1000, 1000);
      }
      assertThat(second.requests().size()).as("nothing asked twice but by chance").isLessThan(10);
      first.always(Lie.STALL_HEAD);
      long started = System.nanoTime();

      for (int i = 0; i < 10; i++) {
        reads(source, i * 1000, 1000);
      }

      assertThat(System.nanoTime() - started)
          .isLessThan(TimeUnit.SECONDS.toNanos(3) + metronome.slackNanos());
      assertNothingLent(source);
    }
  }

  @Test
  void hedging_pay_stopsWhenTheShareIsUsedUp() {
    Hedging hedging = new Hedging("test");
    assertThat(hedging.pay(1 << 20)).isTrue();
    assertThat(hedging.pay(100)).isFalse();

    hedging.earned(2000);

    assertThat(hedging.pay(100)).isTrue();
    assertThat(hedging.pay(1)).isFalse();
    hedging.close();
  }
}
