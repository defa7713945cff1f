/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.BlockSource;
import io.uloop.SourceOptions;
import io.uloop.TestSeed;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What has come is handed over before more is waited for. */
@Timeout(60)
final class HttpHandOverTest {

  private static final int SIZE = 300_007;
  private static final byte[] IMAGE = LyingOrigin.image(7, SIZE);

  @TempDir private Path directory;

  /** Sends head and some bytes in one go, and the rest when told that those were handed over. */
  private static LyingOrigin.Answer restAfter(CountDownLatch handedOver, int some, String framing) {
    return (request, wire) -> {
      List<String> lines = new ArrayList<>(wire.validators());
      lines.add("Content-Range: bytes " + request.first() + "-" + request.last() + "/" + SIZE);
      boolean chunked = framing.equals("chunked");
      switch (framing) {
        case "length" -> lines.add("Content-Length: " + request.length());
        case "chunked" -> lines.add("Transfer-Encoding: chunked");
        default -> lines.add("Connection: close");
      }
      wire.head("HTTP/1.1 206 Partial Content", lines);
      part(wire, request.first(), some, chunked);
      wire.flush();
      await(handedOver);
      part(wire, request.first() + some, request.length() - some, chunked);
      if (chunked) {
        wire.text("0\r\n\r\n");
      } else if (framing.equals("close")) {
        wire.end();
      }
    };
  }

  private static void part(LyingOrigin.Wire wire, long first, int length, boolean chunked)
      throws IOException {
    if (chunked) {
      wire.text(Integer.toHexString(length) + "\r\n");
    }
    wire.bytes(first, length);
    if (chunked) {
      wire.text("\r\n");
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(10, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private static BlockSource open(URI uri, Path authority) throws IOException {
    SourceOptions.Builder options = SourceOptions.builder().property("http.stall-timeout", "5");
    if (authority != null) {
      options.property("http.ca-file", authority.toString());
    }
    return new HttpSourceProvider().open(uri, options.build());
  }

  /** Reads from an origin that sends the rest only when it sees that the first bytes arrived. */
  private static void readsFirstBytesBeforeTheRest(
      LyingOrigin origin, BlockSource source, int some, String framing) throws IOException {
    CountDownLatch handedOver = new CountDownLatch(1);
    origin.next(restAfter(handedOver, some, framing));
    byte[] read = new byte[100_000];
    ByteBuffer dst = ByteBuffer.wrap(read);
    origin.forgetRequests();

    source.read(
        1000,
        read.length,
        piece -> {
          dst.put(piece);
          if (dst.position() >= some) {
            handedOver.countDown();
          }
        });

    assertThat(read).isEqualTo(Arrays.copyOfRange(IMAGE, 1000, 101_000));
    assertThat(origin.requests()).hasSize(1);
  }

  @ParameterizedTest
  @CsvSource({
    "length, 1",
    "length, 5000",
    "length, 70000",
    "chunked, 1",
    "chunked, 5000",
    "chunked, 90000",
    "close, 1",
    "close, 5000",
    "close, 90000"
  })
  void bytesThatCameWithTheHead_areHandedOverBeforeThoseThatFollow(String framing, int some)
      throws IOException {
    try (LyingOrigin origin = LyingOrigin.serving(IMAGE);
        BlockSource source = open(origin.uri(), null)) {
      readsFirstBytesBeforeTheRest(origin, source, some, framing);
    }
  }

  /** So that a body goes from the socket to a file without a copy. */
  @Test
  void bodyOfKnownLength_isReceivedIntoDirectBuffers() throws IOException {
    try (LyingOrigin origin = LyingOrigin.serving(IMAGE);
        BlockSource source = open(origin.uri(), null)) {
      ByteBuffer dst = ByteBuffer.allocate(SIZE);
      List<Boolean> direct = new ArrayList<>();
      source.read(
          0,
          SIZE,
          piece -> {
            direct.add(piece.isDirect());
            dst.put(piece);
          });
      assertThat(dst.array()).isEqualTo(IMAGE);
      assertThat(direct).containsOnly(true);
    }
  }

  @Test
  void tls_handsOverWhatCameAndStandsAnyPace() throws Exception {
    TestKeys server = TestKeys.make(directory, "server");
    try (LyingOrigin tls = LyingOrigin.servingTls(IMAGE, server.context(server), false);
        TestRelay line =
            TestRelay.chopping(tls.uri().getPort(), TestSeed.random("HttpHandOverTest"))) {
      try (BlockSource source = open(tls.uri(), server.certificate())) {
        readsFirstBytesBeforeTheRest(tls, source, 5000, "length");
      }
      // The pauses fall into the records of TLS too.
      String port = ":" + tls.uri().getPort();
      URI slow = URI.create(tls.uri().toString().replace(port, ":" + line.port()));
      try (BlockSource source = open(slow, server.certificate())) {
        tls.forgetRequests();
        ByteBuffer dst = ByteBuffer.allocate(150_000);
        source.read(77, dst.limit(), dst::put);
        assertThat(dst.array()).isEqualTo(Arrays.copyOfRange(IMAGE, 77, 150_077));
        assertThat(tls.requests()).hasSize(1);
      }
    }
  }
}
