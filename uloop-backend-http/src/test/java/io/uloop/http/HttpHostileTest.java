/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.SourceProtocolException;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Servers that keep a reader busy, break the framing, or answer something else altogether. */
@Timeout(30)
final class HttpHostileTest {

  private static final int SIZE = 300_007;
  private static final byte[] IMAGE = LyingOrigin.image(9, SIZE);

  private LyingOrigin origin;

  @BeforeEach
  void start() throws IOException {
    origin = LyingOrigin.serving(IMAGE);
  }

  @AfterEach
  void stop() throws IOException {
    origin.close();
  }

  private HttpBlockSource open(Duration timeout) throws IOException {
    return HttpBlockSource.open(
        HttpSourceConfig.builder(origin.uri())
            .timeout(timeout)
            .stallTimeout(Duration.ofMillis(300))
            .build());
  }

  // A second for the head of each answer, and much for all of them.
  private HttpBlockSource openPatient() throws IOException {
    HttpSourceConfig.Builder config =
        HttpSourceConfig.builder(origin.uri())
            .timeout(Duration.ofSeconds(20))
            .stallTimeout(Duration.ofMillis(300));
    config.answerTimeout = Duration.ofSeconds(1);
    return HttpBlockSource.open(config.build());
  }

  private static void reads(HttpBlockSource source, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    source.read(offset, dst);
    assertThat(Arrays.equals(dst.array(), Arrays.copyOfRange(IMAGE, offset, offset + length)))
        .isTrue();
    assertThat(source.connections().leased()).as("connections leased").isZero();
    assertThat(source.buffers().lent() + BufferPool.DIRECT.lent()).as("buffers lent").isZero();
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "TWO_LENGTHS",
        "BAD_LENGTH",
        "GZIP_TRANSFER",
        "NO_CONTENT",
        "NOT_MODIFIED",
        "UNAVAILABLE_TRICKLE",
        "ENDLESS_HINTS",
        "WHOLE_CHUNKED",
        "WHOLE_BREAK_OFF",
        "WHOLE_CODED",
        "TRICKLE_TRAILER"
      })
  void read_onceWrong_triesAgainAndGivesTheBytes(Lie lie) throws IOException {
    try (HttpBlockSource source = openPatient()) {
      origin.next(lie);
      reads(source, 5, 100_000);
      reads(source, 200_000, 4096);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"TWO_LENGTHS", "BAD_LENGTH", "GZIP_TRANSFER", "NO_CONTENT", "NOT_MODIFIED"})
  void read_alwaysAgainstTheProtocol_throwsProtocolException(Lie lie) throws IOException {
    try (HttpBlockSource source = open(Duration.ofSeconds(20))) {
      origin.always(lie);
      assertThatThrownBy(() -> reads(source, 5, 1000)).isInstanceOf(SourceProtocolException.class);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"BAD_REQUEST", "REDIRECT_ON", "REDIRECT_TO_NOTHING"})
  void read_refused_throwsRefused(Lie lie) throws IOException {
    try (HttpBlockSource source = open(Duration.ofSeconds(20))) {
      origin.always(lie);
      assertThatThrownBy(() -> reads(source, 5, 1000)).isInstanceOf(SourceRefusedException.class);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"STALL_HEAD", "TRICKLE_HEAD", "STALL_BODY", "ENDLESS_HINTS", "UNAVAILABLE_TRICKLE"})
  void open_neverAnswers_isUnavailableAtTheTimeout(Lie lie) {
    origin.usually(lie);
    assertThatThrownBy(() -> open(Duration.ofSeconds(1)))
        .isInstanceOf(SourceUnavailableException.class);
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "STALL_HEAD",
        "TRICKLE_HEAD",
        "ENDLESS_HINTS",
        "HUGE_HEAD",
        "HEAD_WITH_BODY",
        "UNAVAILABLE_TRICKLE",
        "TWO_LENGTHS",
        "BAD_LENGTH",
        "RESET_HEAD",
        "REDIRECT_WITHOUT_LOCATION"
      })
  void open_headIsAnsweredBadly_theRangeIsBelieved(Lie lie) throws IOException {
    origin.when(request -> request.head(), lie);
    try (HttpBlockSource source = openPatient()) {
      assertThat(source.size()).isEqualTo(SIZE);
      reads(source, 5, 1000);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "Content-Range: bytes 0-0/1, Content-Range: bytes 0-0/300007",
    "ETag: \"a\", ETag: \"b\"",
    "ETag: W/\"a\", etag: \"a\"",
    "'Last-Modified: Tue, 03 Jun 2008 11:05:30 GMT', 'Last-Modified: Tue, 03 Jun 2008 11:05:31 GMT'",
    "Content-Length: 1, Content-Length: 2",
    "Content-Encoding: identity, Content-Encoding: gzip",
  })
  void open_answerContradictsItself_isAProtocolErrorWithBothValues(String one, String other) {
    List<String> lines = new ArrayList<>(List.of(one, other));
    for (String line : List.of("Content-Range: bytes 0-0/300007", "Content-Length: 1")) {
      if (!one.startsWith(line.substring(0, line.indexOf(' ')))) {
        lines.add(line);
      }
    }
    origin.usually(
        (request, wire) -> {
          wire.head("HTTP/1.1 206 Partial Content", lines);
          AnswerParts.body(request, wire, 0, 1);
        });

    assertThatThrownBy(this::openPatient)
        .isInstanceOf(SourceProtocolException.class)
        .hasMessageContaining("'" + one.substring(one.indexOf(' ') + 1) + "'")
        .hasMessageContaining("'" + other.substring(other.indexOf(' ') + 1) + "'");
  }

  /** It could neither be stored as a line nor be sent back. */
  @ParameterizedTest
  @ValueSource(strings = {"ETag: \"a\rb\"", "Last-Modified: Tue,\r03 Jun 2008 11:05:30 GMT"})
  void open_validatorWithAControlCharacter_isNone(String line) throws IOException {
    LyingOrigin.Answer odd =
        (request, wire) -> {
          String range = AnswerParts.contentRange(request, wire, request.first(), request.length());
          String length = "Content-Length: " + request.length();
          wire.head("HTTP/1.1 206 Partial Content", List.of(line), range, length);
          AnswerParts.body(request, wire, request.first(), request.length());
        };
    origin.when(request -> request.head(), Lie.RESET_HEAD);
    origin.when(request -> request.ranged(), odd);
    try (HttpBlockSource source = openPatient()) {
      assertThat(source.identity().validator()).isEmpty();
      reads(source, 5, 1000);
    }
  }

  @Test
  void read_answerSaysTheSameTwice_isUsed() throws IOException {
    LyingOrigin.Answer twice =
        (request, wire) -> {
          String range = AnswerParts.contentRange(request, wire, request.first(), request.length());
          String length = "Content-Length: " + request.length();
          List<String> lines = new ArrayList<>(wire.validators());
          lines.addAll(wire.validators());
          wire.head("HTTP/1.1 206 Partial Content", lines, range, length, range, length);
          AnswerParts.body(request, wire, request.first(), request.length());
        };
    origin.when(request -> request.ranged(), twice);
    try (HttpBlockSource source = openPatient()) {
      reads(source, 5, 100_000);
    }
    assertThat(origin.requests()).as("HEAD, the first byte, the range").hasSize(3);
  }

  // With a timeout beyond the test's own: the end of the body must not be waited for.
  @Test
  void read_trailerNeverEnds_isNotWaitedFor() throws IOException {
    try (HttpBlockSource source = open(Duration.ofSeconds(90))) {
      origin.always(Lie.TRICKLE_TRAILER);
      for (int i = 0; i < 10; i++) {
        reads(source, i * 1000, 1000);
      }
    }
  }

  @Test
  void read_refusalWithABodyThatTrickles_isNotWaitedFor() throws IOException {
    try (HttpBlockSource source = open(Duration.ofSeconds(90))) {
      origin.next(Lie.UNAVAILABLE_TRICKLE, Lie.UNAVAILABLE_TRICKLE);
      reads(source, 0, 1000);
    }
  }

  @Test
  void read_etagChangesBetweenHeadAndRange_theRangeIsWhatCounts() throws IOException {
    origin.when(
        request -> request.head(),
        LyingOrigin.raw(
            "HTTP/1.1 200 OK\r\nETag: \"of the head\"\r\nContent-Length: " + SIZE + "\r\n\r\n"));
    try (HttpBlockSource source = openPatient()) {
      assertThat(source.identity().validator().orElseThrow().value()).isEqualTo("\"v1-300007\"");
      reads(source, 5, 1000);
    }
  }

  @Test
  void read_retryAfterBeyondTheDeadline_failsAtTheDeadlineAndAsksOnce() throws IOException {
    try (HttpBlockSource source = open(Duration.ofSeconds(1))) {
      origin.forgetRequests();
      origin.always(LyingOrigin.status("503 Service Unavailable", "Retry-After: 86400"));
      assertThatThrownBy(() -> reads(source, 0, 100))
          .isInstanceOf(SourceUnavailableException.class)
          .hasMessageContaining("Retry-After 30 s");
      assertThat(origin.requests()).hasSize(1);
    }
  }

  @Test
  void open_retryAfter_isWaitedForIfThereIsTime() throws IOException {
    long from = System.nanoTime();
    origin.when(
        request -> System.nanoTime() - from < TimeUnit.MILLISECONDS.toNanos(900), Lie.TOO_MANY);
    try (HttpBlockSource source = open(Duration.ofSeconds(10))) {
      reads(source, 0, 100);
    }
    origin.always(LyingOrigin.status("503 Service Unavailable", "Retry-After: 25"));
    origin.forgetRequests();
    assertThatThrownBy(() -> open(Duration.ofSeconds(20)))
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessageContaining("Retry-After 25 s");
    assertThat(origin.requests()).as("HEAD and GET, once").hasSize(2);
  }

  @Test
  void open_tlsHandshakeNeverAnswered_isUnavailable() throws IOException {
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      URI uri = URI.create("https://127.0.0.1:" + silent.getLocalPort() + "/");
      assertThatThrownBy(
              () ->
                  HttpBlockSource.open(
                      HttpSourceConfig.builder(uri).timeout(Duration.ofSeconds(1)).build()))
          .isInstanceOf(SourceUnavailableException.class);
    }
  }

  @Test
  void open_proxyNeverAnswersConnect_isUnavailable() throws IOException {
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      assertThatThrownBy(
              () ->
                  HttpBlockSource.open(
                      HttpSourceConfig.builder(URI.create("https://image.example/"))
                          .proxy("http://127.0.0.1:" + silent.getLocalPort())
                          .timeout(Duration.ofSeconds(1))
                          .build()))
          .isInstanceOf(SourceUnavailableException.class);
    }
  }

  @Test
  void open_redirectedToWhereTheProxyIsUnusable_isRefused() {
    origin.always(LyingOrigin.redirect(302, "https://image.example/a"));
    assertThatThrownBy(
            () ->
                HttpBlockSource.open(
                    HttpSourceConfig.builder(origin.uri())
                        .environment(Map.of("https_proxy", "socks5://me:pw@p:1080"))
                        .build()))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("proxy")
        .hasMessageNotContaining("pw");
  }

  @Test
  void read_failsAgainAndAgain_isSaidOnceInTheLogWithoutSecrets() throws IOException {
    List<String> said = new CopyOnWriteArrayList<>();
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord line) {
            if (line.getLevel() == Level.WARNING) {
              said.add(line.getMessage());
            }
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger logger = Logger.getLogger("io.uloop.http");
    URI uri = URI.create(origin.uri("/i?token=t0ken").toString().replace("//", "//me:pw@"));
    try (HttpBlockSource source = HttpBlockSource.open(HttpSourceConfig.builder(uri).build())) {
      origin.always(Lie.TEAPOT);
      logger.addHandler(handler);
      for (int i = 0; i < 5; i++) {
        assertThatThrownBy(() -> reads(source, 5, 10)).isInstanceOf(SourceRefusedException.class);
      }
    } finally {
      logger.removeHandler(handler);
    }
    assertThat(said).containsExactly("GET " + origin.uri("/i?…") + " bytes 5-14: 418 I'm a teapot");
  }
}
