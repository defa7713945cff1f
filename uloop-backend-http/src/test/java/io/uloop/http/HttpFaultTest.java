/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.Metronome;
import io.uloop.ReadSink;
import io.uloop.SourceChangedException;
import io.uloop.SourceProtocolException;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Each way in which one answer can be wrong, and what a reader sees of it. */
@Timeout(30)
final class HttpFaultTest {

  private static final int SIZE = 300_007;
  private static final byte[] IMAGE = LyingOrigin.image(7, SIZE);

  private LyingOrigin origin;
  private HttpBlockSource source;

  @BeforeEach
  void open() throws IOException {
    origin = LyingOrigin.serving(IMAGE);
    source = open(Duration.ofSeconds(5));
  }

  // With so much time in all, what waits for an answer's head may wait for a second of it.
  private void openPatient() throws IOException {
    source.close();
    HttpSourceConfig.Builder config =
        HttpSourceConfig.builder(origin.uri())
            .timeout(Duration.ofSeconds(60))
            .stallTimeout(Duration.ofSeconds(10));
    config.answerTimeout = Duration.ofSeconds(1);
    source = HttpBlockSource.open(config.build());
  }

  private HttpBlockSource open(Duration timeout) throws IOException {
    return HttpBlockSource.open(
        HttpSourceConfig.builder(origin.uri())
            .timeout(timeout)
            .stallTimeout(Duration.ofMillis(400))
            .build());
  }

  @AfterEach
  void close() throws IOException {
    assertThat(source.connections().leased()).as("connections leased").isZero();
    assertThat(source.buffers().lent() + BufferPool.DIRECT.lent()).as("buffers lent").isZero();
    source.close();
    origin.close();
  }

  private byte[] read(long offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    source.read(offset, dst);
    assertThat(dst.hasRemaining()).isFalse();
    return dst.array();
  }

  private static byte[] expected(long offset, int length) {
    return Arrays.copyOfRange(IMAGE, (int) offset, (int) offset + length);
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "NONE",
        "CHUNKED",
        "CLOSE_DELIMITED",
        "PART_OF_RANGE",
        "EARLY_HINTS",
        "ODD_CASE",
        "CLOSE",
        "CLOSE_SILENTLY",
        "OLD_VERSION"
      })
  void read_unusualButRight_givesTheBytes(Lie lie) throws IOException {
    origin.always(lie);

    assertThat(read(1000, 200_000)).isEqualTo(expected(1000, 200_000));
    assertThat(read(SIZE - 1, 1)).isEqualTo(expected(SIZE - 1, 1));
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "IGNORE_RANGE",
        "OTHER_RANGE",
        "LONGER_RANGE",
        "NO_CONTENT_RANGE",
        "BAD_CONTENT_RANGE",
        "SHORT_LENGTH",
        "LONG_LENGTH",
        "MULTIPART",
        "CODED",
        "BREAK_OFF",
        "RESET_BODY",
        "STALL_BODY",
        "TRICKLE_BODY",
        "CHUNKED_SHORT",
        "CHUNKED_LONG",
        "CHUNKED_BREAK",
        "CHUNKED_BAD",
        "CLOSE_DELIMITED_SHORT",
        "EXTRA_ANSWER",
        "CLOSE_HEAD",
        "RESET_HEAD",
        "HUGE_HEAD",
        "GARBAGE",
        "NO_VALIDATOR",
        "WEAK_ETAG",
        "PRECONDITION_FAILED",
        "NOT_SATISFIABLE",
        "TOO_MANY",
        "INTERNAL_ERROR",
        "BAD_GATEWAY",
        "UNAVAILABLE",
        "UNAVAILABLE_UNTIL",
        "REDIRECT_WITHOUT_LOCATION"
      })
  void read_onceWrong_triesAgainAndGivesTheBytes(Lie lie) throws IOException {
    origin.next(lie);

    assertThat(read(5, 100_000)).isEqualTo(expected(5, 100_000));
    assertThat(read(200_000, 4096)).isEqualTo(expected(200_000, 4096));
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"STALL_HEAD", "TRICKLE_HEAD"})
  void read_headNeverComplete_triesAgainAndGivesTheBytes(Lie lie) throws IOException {
    openPatient();
    origin.next(lie);

    assertThat(read(5, 100_000)).isEqualTo(expected(5, 100_000));
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "OTHER_RANGE",
        "LONGER_RANGE",
        "NO_CONTENT_RANGE",
        "BAD_CONTENT_RANGE",
        "SHORT_LENGTH",
        "LONG_LENGTH",
        "MULTIPART",
        "CODED",
        "CHUNKED_BAD",
        "HUGE_HEAD",
        "NO_VALIDATOR",
        "WEAK_ETAG",
        "NOT_SATISFIABLE",
        "REDIRECT_WITHOUT_LOCATION"
      })
  void read_alwaysAgainstTheProtocol_throwsProtocolExceptionSoon(Lie lie) throws IOException {
    source.close();
    source = open(Duration.ofSeconds(60));
    origin.always(lie);
    long started = System.nanoTime();

    assertThatThrownBy(() -> read(5, 100_000))
        .isInstanceOf(SourceProtocolException.class)
        .hasMessageContaining("GET http://127.0.0.1:")
        .hasMessageContaining("bytes 5-100004");
    assertThat(System.nanoTime() - started).isLessThan(TimeUnit.SECONDS.toNanos(20));
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "GONE", "TEAPOT", "REDIRECT_LOOP"})
  void read_refused_throwsRefusedAtOnce(Lie lie) {
    origin.always(lie);
    origin.forgetRequests();

    assertThatThrownBy(() -> read(0, 4096)).isInstanceOf(SourceRefusedException.class);
    assertThat(origin.requests().size()).isLessThanOrEqualTo(22);
  }

  @Test
  void read_rangeIgnoredForGood_throwsRefusedThatSaysSo() {
    origin.always(Lie.IGNORE_RANGE);

    assertThatThrownBy(() -> read(0, 4096))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("ignored the range");
  }

  @Test
  void read_wholeImageAnswered200_givesTheBytes() throws IOException {
    origin.always(Lie.IGNORE_RANGE);

    assertThat(read(0, SIZE)).isEqualTo(IMAGE);
  }

  @Test
  void read_wholeImageAnswered200OfOtherLength_throwsChanged() {
    origin.always(
        LyingOrigin.raw(
            "HTTP/1.1 200 OK\r\nETag: \"v1-" + SIZE + "\"\r\nContent-Length: 3\r\n\r\nabc"));

    assertThatThrownBy(() -> read(0, SIZE))
        .isInstanceOf(SourceChangedException.class)
        .hasMessageContaining("size was " + SIZE + ", is 3");
  }

  @Test
  void read_wholeImageAnswered200WithoutLength_throwsProtocolException() {
    origin.always(
        LyingOrigin.raw(
            "HTTP/1.1 200 OK\r\nETag: \"v1-"
                + SIZE
                + "\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));

    assertThatThrownBy(() -> read(0, SIZE)).isInstanceOf(SourceProtocolException.class);
  }

  @Test
  void read_otherEtag_throwsChangedWithBothAndHandsOverNothing() {
    origin.always(Lie.OTHER_ETAG);
    List<Integer> pieces = new ArrayList<>();

    assertThatThrownBy(() -> source.read(0, 4096, piece -> pieces.add(piece.remaining())))
        .isInstanceOf(SourceChangedException.class)
        .hasMessageContaining("\"v1-" + SIZE + "\"")
        .hasMessageContaining("\"other\"");
    assertThat(pieces).isEmpty();
  }

  @Test
  void read_otherTotal_throwsChangedWithBothSizes() {
    origin.always(Lie.OTHER_TOTAL);

    assertThatThrownBy(() -> read(0, 4096))
        .isInstanceOf(SourceChangedException.class)
        .hasMessageContaining("size was " + SIZE + ", is " + (SIZE + 5));
  }

  @Test
  void read_imageReplaced_412IsFollowedByChangedWithBothEtags() {
    origin.replace(LyingOrigin.image(8, SIZE), "\"v2\"");
    origin.forgetRequests();

    assertThatThrownBy(() -> read(0, 4096))
        .isInstanceOf(SourceChangedException.class)
        .hasMessageContaining("\"v1-" + SIZE + "\"")
        .hasMessageContaining("\"v2\"");
    assertThat(origin.requests().get(0).headers()).containsEntry("if-match", "\"v1-" + SIZE + "\"");
  }

  @Test
  void read_imageReplacedWithinTheBody_restIsNotMixedIn() {
    origin.next(
        (request, wire) -> {
          Lie.BREAK_OFF.write(request, wire);
          origin.replace(LyingOrigin.image(8, SIZE), "\"v2\"");
        });
    List<byte[]> pieces = new ArrayList<>();

    assertThatThrownBy(
            () ->
                source.read(
                    0,
                    100_000,
                    piece -> {
                      byte[] bytes = new byte[piece.remaining()];
                      piece.get(bytes);
                      pieces.add(bytes);
                    }))
        .isInstanceOf(SourceChangedException.class);
    int at = 0;
    for (byte[] piece : pieces) {
      assertThat(piece).isEqualTo(expected(at, piece.length));
      at += piece.length;
    }
    assertThat(at).isEqualTo(50_000);
  }

  @Test
  void read_brokenBody_asksOnlyForTheRest() throws IOException {
    openPatient();
    origin.forgetRequests();
    origin.next(Lie.BREAK_OFF);

    read(1000, 100_000);

    assertThat(origin.requests()).extracting(r -> r.first()).containsExactly(1000L, 51_000L);
  }

  @Test
  void read_retryAfterSeconds_isHonoured() throws IOException {
    origin.next(Lie.TOO_MANY);
    long started = System.nanoTime();

    read(0, 4096);

    assertThat(System.nanoTime() - started).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(950));
  }

  @Test
  void read_serverDown_failsAtTheDeadlineWithoutAStorm() throws IOException {
    source.close();
    source = open(Duration.ofSeconds(2));
    origin.forgetRequests();
    origin.always(Lie.UNAVAILABLE);
    long slack;
    try (Metronome metronome = Metronome.start()) {
      long started = System.nanoTime();

      assertThatThrownBy(() -> read(0, 4096))
          .isInstanceOf(SourceUnavailableException.class)
          .hasMessageContaining("503 Service Unavailable")
          .hasMessageMatching("(?s).*not read within [2-9]\\.\\d s.*");
      long took = System.nanoTime() - started;
      slack = metronome.slackNanos();
      assertThat(took)
          .isBetween(
              TimeUnit.MILLISECONDS.toNanos(1900), TimeUnit.MILLISECONDS.toNanos(2600) + slack);
    }
    // One that stands still has less time to ask.
    int least = slack < TimeUnit.MILLISECONDS.toNanos(500) ? 3 : 1;
    assertThat(origin.requests().size()).isBetween(least, 12);
  }

  @Test
  void read_serverPaused_failsAtTheDeadlineAndRecovers() throws IOException {
    read(0, 4096);
    origin.pause();
    try (Metronome metronome = Metronome.start()) {
      long started = System.nanoTime();

      assertThatThrownBy(() -> read(4096, 4096)).isInstanceOf(SourceUnavailableException.class);
      assertThat(System.nanoTime() - started)
          .isLessThan(TimeUnit.MILLISECONDS.toNanos(5600) + metronome.slackNanos());
    }

    origin.resume();
    assertThat(read(4096, 4096)).isEqualTo(expected(4096, 4096));
  }

  @Test
  void read_serverRestarted_survivesStaleConnections() throws IOException {
    read(0, 4096);
    origin.down();
    origin.up();

    assertThat(read(4096, 4096)).isEqualTo(expected(4096, 4096));
  }

  @Test
  void read_cancelledWhileItWaits_endsSoon() throws Exception {
    source.close();
    source = open(Duration.ofSeconds(60));
    origin.always(Lie.STALL_HEAD);
    BlockingQueue<Runnable> abort = new ArrayBlockingQueue<>(4);
    CompletableFuture<Throwable> ended = new CompletableFuture<>();
    Thread reader =
        new Thread(
            () -> {
              try {
                source.read(0, 4096, new CancellableSink(abort));
                ended.complete(new AssertionError("the read came to an end"));
              } catch (IOException e) {
                ended.complete(e);
              }
            });
    reader.start();

    abort.take().run();

    assertThat(ended.get(20, TimeUnit.SECONDS)).isInstanceOf(IOException.class);
    reader.join();
  }

  private record CancellableSink(BlockingQueue<Runnable> abort) implements ReadSink {
    @Override
    public void accept(ByteBuffer piece) {
      piece.position(piece.limit());
    }

    @Override
    public void onCancel(Runnable action) {
      abort.add(action);
    }
  }

  @Test
  void read_interruptedWhileItWaits_endsAndKeepsTheFlag() throws Exception {
    origin.always(Lie.UNAVAILABLE);
    CompletableFuture<Boolean> flag = new CompletableFuture<>();
    Thread reader =
        new Thread(
            () -> {
              try {
                source.read(0, ByteBuffer.allocate(10));
                flag.completeExceptionally(new AssertionError("the read came to an end"));
              } catch (InterruptedIOException e) {
                flag.complete(Thread.currentThread().isInterrupted());
              } catch (IOException e) {
                flag.completeExceptionally(e);
              }
            });
    reader.start();

    reader.interrupt();

    assertThat(flag.get(4, TimeUnit.SECONDS)).isTrue();
    reader.join();
  }

  @Test
  void read_manyWhileTheServerIsDown_oneAsksForAll() throws Exception {
    source.close();
    source = open(Duration.ofSeconds(2));
    origin.forgetRequests();
    origin.always(Lie.UNAVAILABLE);
    Thread[] readers = new Thread[16];
    for (int i = 0; i < readers.length; i++) {
      readers[i] =
          new Thread(
              () ->
                  assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(10)))
                      .isInstanceOf(SourceUnavailableException.class));
      readers[i].start();
    }
    for (Thread reader : readers) {
      reader.join();
    }

    assertThat(origin.requests().size()).isBetween(3, 16 + 14);
  }

  @Test
  void read_sinkThrows_passesItOnAndDropsTheConnection() {
    IOException full = new IOException("no space");
    int[] calls = {0};

    assertThatThrownBy(
            () ->
                source.read(
                    0,
                    SIZE,
                    piece -> {
                      calls[0]++;
                      throw full;
                    }))
        .isSameAs(full);
    assertThat(calls[0]).isEqualTo(1);
  }
}
