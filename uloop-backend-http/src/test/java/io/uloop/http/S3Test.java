/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The s3 scheme: places, signatures, where keys come from. */
@Timeout(60)
final class S3Test {

  // The pair that the S3 API Reference uses in its examples.
  private static final S3Credentials EXAMPLE =
      new S3Credentials(
          "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Optional.empty());

  // No test takes so long.
  private static final Duration PATIENT = Duration.ofMinutes(10);

  private static TreeMap<String, String> headers(String... namesAndValues) {
    TreeMap<String, String> headers = new TreeMap<>();
    headers.put("host", "examplebucket.s3.amazonaws.com");
    headers.put("x-amz-content-sha256", S3Signer.EMPTY_BODY);
    headers.put("x-amz-date", "20130524T000000Z");
    for (int i = 0; i < namesAndValues.length; i += 2) {
      headers.put(namesAndValues[i], namesAndValues[i + 1]);
    }
    return headers;
  }

  @Test
  void authorization_referenceExampleGetObject_isTheSame() {
    assertThat(
            S3Signer.authorization(
                EXAMPLE, "us-east-1", "GET", "/test.txt", headers("range", "bytes=0-9")))
        .isEqualTo(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
                + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  }

  @Test
  void authorization_referenceExampleWithQuery_isTheSame() {
    assertThat(S3Signer.authorization(EXAMPLE, "us-east-1", "GET", "/?lifecycle", headers()))
        .endsWith("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    assertThat(
            S3Signer.authorization(EXAMPLE, "us-east-1", "GET", "/?prefix=J&max-keys=2", headers()))
        .endsWith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  }

  @ParameterizedTest
  @CsvSource({
    "versionId=a/b+c%20d, versionId=a%2Fb%2Bc%20d",
    "x=%2f%7e~*%C3%bc, x=%2F~~%2A%C3%BC",
    "a-b=1&a=2&lifecycle&a=1&&k=v=w, a=1&a=2&a-b=1&k=v%3Dw&lifecycle="
  })
  void canonicalQuery_anything_isEncodedAndInOrder(String query, String canonical) {
    assertThat(S3Signer.canonicalQuery(query)).isEqualTo(canonical);
  }

  @Test
  void open_queryWithReservedCharacters_isSentAsItIsSigned() throws IOException {
    try (LyingOrigin server = LyingOrigin.serving(LyingOrigin.image(1, 10_000))) {
      HttpSourceConfig config =
          HttpSourceConfig.builder(URI.create("s3://bucket/image?versionId=a/b+c%20d&x"))
              .s3Endpoint(server.uri("/"))
              .s3Credentials(() -> EXAMPLE)
              .s3Region("us-east-1")
              .build();
      HttpBlockSource.open(config).close();

      LyingOrigin.Request sent = server.requests().get(0);
      assertThat(sent.target()).isEqualTo("/bucket/image?versionId=a%2Fb%2Bc%20d&x");
      TreeMap<String, String> signed = new TreeMap<>();
      for (String name : List.of("host", "x-amz-content-sha256", "x-amz-date")) {
        signed.put(name, sent.headers().get(name));
      }
      // Of a target that is canonical already.
      String target = "/bucket/image?versionId=a%2Fb%2Bc%20d&x=";
      assertThat(sent.headers().get("authorization"))
          .isEqualTo(S3Signer.authorization(EXAMPLE, "us-east-1", "HEAD", target, signed));
    }
  }

  @Test
  void url_styles_areChosen() {
    URI object = URI.create("s3://bucket/a%20b/%C3%BC+.img");

    assertThat(S3Place.url(object, null, "eu-west-1", null))
        .hasToString("https://bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2B.img");
    assertThat(S3Place.url(object, URI.create("http://127.0.0.1:9000/root/"), "x", null))
        .hasToString("http://127.0.0.1:9000/root/bucket/a%20b/%C3%BC%2B.img");
    assertThat(S3Place.url(object, URI.create("https://s3.example"), "x", false))
        .hasToString("https://bucket.s3.example/a%20b/%C3%BC%2B.img");
    assertThat(S3Place.url(URI.create("s3://dots.in.name/k"), null, "r", null))
        .hasToString("https://s3.r.amazonaws.com/dots.in.name/k");
    assertThatThrownBy(() -> S3Place.url(URI.create("s3://bucket/"), null, "r", null))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void toString_credentials_hidesTheSecret() {
    assertThat(EXAMPLE.toString()).doesNotContain("wJalr");
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"FORBIDDEN", "BAD_REQUEST"})
  void read_expiredToken_isReadAgain(Lie refusal) throws IOException {
    byte[] image = LyingOrigin.image(1, 10_000);
    AtomicInteger reads = new AtomicInteger();
    try (LyingOrigin server = LyingOrigin.serving(image)) {
      URI endpoint = server.uri("/");
      HttpSourceConfig config =
          HttpSourceConfig.builder(URI.create("s3://bucket/image"))
              .s3Endpoint(endpoint)
              .s3Credentials(
                  () ->
                      new S3Credentials(
                          "key", "secret", Optional.of("token" + reads.incrementAndGet())))
              .build();
      try (HttpBlockSource source = HttpBlockSource.open(config)) {
        server.when(r -> !"token2".equals(r.headers().get("x-amz-security-token")), refusal);
        ByteBuffer dst = ByteBuffer.allocate(image.length);
        source.read(0, dst);
        assertThat(dst.array()).isEqualTo(image);
      }
      assertThat(server.requests().get(0).target()).isEqualTo("/bucket/image");
      assertThat(server.requests())
          .allSatisfy(
              r -> assertThat(r.headers().get("authorization")).startsWith("AWS4-HMAC-SHA256 "));
    }
  }

  private static S3Credentials until(String name, Instant end) {
    return new S3Credentials(name, "secret", Optional.empty(), Optional.of(end));
  }

  @Test
  void sign_keysEndSoon_areReadAgainOnceAndKeptIfThatFails() throws Exception {
    Instant start = Instant.parse("2026-01-01T00:00:00Z");
    Instant[] now = {start};
    int[] reads = {0};
    S3Credentials.Source source =
        () -> {
          if (++reads[0] == 2) {
            throw new IOException("down");
          }
          return until("K" + reads[0], now[0].plus(Duration.ofMinutes(10)));
        };
    S3Signer signer = new S3Signer("r", source, () -> now[0], PATIENT);
    HttpUrl url = HttpUrl.of(URI.create("https://h/x"));

    assertThat(keyOf(signer, url)).isEqualTo("K1");
    now[0] = start.plus(Duration.ofMinutes(4));
    assertThat(keyOf(signer, url)).isEqualTo("K1");
    now[0] = start.plus(Duration.ofMinutes(6));
    assertThat(keyOf(signer, url)).as("reading failed").isEqualTo("K1");
    assertThat(keyOf(signer, url)).isEqualTo("K1");
    assertThat(reads[0]).as("not for each request").isEqualTo(2);
    now[0] = start.plus(Duration.ofMinutes(7));
    assertThat(keyOf(signer, url)).isEqualTo("K3");
    assertThat(signer.renewals()).isEqualTo(1);
    assertThat(signer.renew(0, in(PATIENT))).as("others since that request").isTrue();
    assertThat(reads[0]).isEqualTo(3);
  }

  private static long in(Duration time) {
    return System.nanoTime() + time.toNanos();
  }

  /** Gives keys at once, and from then on only when the latch is open. */
  private static S3Credentials.Source hanging(CountDownLatch hung, AtomicInteger reads) {
    return () -> {
      int read = reads.incrementAndGet();
      try {
        if (read > 1) {
          hung.await();
        }
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
      return until("K" + read, Instant.parse("2026-01-01T00:01:00Z"));
    };
  }

  @Test
  void sign_renewalHangs_keysThatWorkAreUsedMeanwhile() throws Exception {
    CountDownLatch hung = new CountDownLatch(1);
    AtomicInteger reads = new AtomicInteger();
    Instant now = Instant.parse("2026-01-01T00:00:00Z");
    S3Signer signer = new S3Signer("r", hanging(hung, reads), () -> now, Duration.ofMillis(1));
    HttpUrl url = HttpUrl.of(URI.create("https://h/x"));

    assertThat(keyOf(signer, url)).as("he who asks").isEqualTo("K1");
    assertThat(keyOf(signer, url)).as("others").isEqualTo("K1");
    for (int reader = 0; reader < 2; reader++) {
      assertThatThrownBy(() -> signer.renew(0, in(Duration.ofMillis(1))))
          .isInstanceOf(SourceUnavailableException.class);
    }
    hung.countDown();
    assertThat(signer.renew(0, in(PATIENT))).isTrue();
    assertThat(keyOf(signer, url)).isEqualTo("K2");
    assertThat(reads).hasValue(2);
  }

  @Test
  @Timeout(30)
  void read_keysAreRefusedAndNewOnesHang_endsInTime() throws IOException {
    CountDownLatch hung = new CountDownLatch(1);
    try (LyingOrigin server = LyingOrigin.serving(LyingOrigin.image(1, 100_000))) {
      HttpSourceConfig config =
          HttpSourceConfig.builder(URI.create("s3://bucket/image"))
              .s3Endpoint(server.uri("/"))
              .s3Credentials(
                  new S3Credentials.Source() {
                    private boolean read;

                    @Override
                    public S3Credentials read() throws IOException {
                      try {
                        if (read) {
                          hung.await();
                        }
                      } catch (InterruptedException e) {
                        throw new IOException(e);
                      }
                      read = true;
                      return EXAMPLE;
                    }
                  })
              .timeout(Duration.ofSeconds(5))
              .build();
      try (HttpBlockSource source = HttpBlockSource.open(config)) {
        server.always(LyingOrigin.status("403 Forbidden"));

        assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(10)))
            .isInstanceOf(UloopException.class);
      } finally {
        hung.countDown();
      }
    }
  }

  private static String keyOf(S3Signer signer, HttpUrl url) {
    String authorization =
        signer.sign("GET", url, in(PATIENT)).stream()
            .filter(header -> header.getName().equals("Authorization"))
            .findFirst()
            .orElseThrow()
            .getValue();
    return authorization.replaceAll(".*Credential=(\\w+)/.*", "$1");
  }

  @Test
  void open_bucketOfAnotherRegion_isRefusedWithTheRegion() throws IOException {
    try (LyingOrigin server = LyingOrigin.serving(LyingOrigin.image(1, 10_000))) {
      server.always(LyingOrigin.status("301 Moved Permanently", "x-amz-bucket-region: eu-north-1"));
      HttpSourceConfig config =
          HttpSourceConfig.builder(URI.create("s3://bucket/image"))
              .s3Endpoint(server.uri("/"))
              .s3Credentials("key", "secret", Optional.empty())
              .build();

      assertThatThrownBy(() -> HttpBlockSource.open(config))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("set s3.region=eu-north-1");
    }
  }

  @Test
  void open_errorWithACode_showsIt() throws IOException {
    String body =
        "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>a</Message></Error>";
    String head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\n";
    String chunked =
        head + "Transfer-Encoding: chunked\r\n\r\n" + Integer.toHexString(body.length()) + "\r\n";
    try (LyingOrigin server = LyingOrigin.serving(LyingOrigin.image(1, 10_000))) {
      for (String answer :
          List.of(
              head + "Content-Length: " + body.length() + "\r\n\r\n" + body,
              chunked + body + "\r\n0\r\n\r\n")) {
        server.when(request -> !request.head(), LyingOrigin.raw(answer));
        HttpSourceConfig config = HttpSourceConfig.builder(server.uri()).build();

        assertThatThrownBy(() -> HttpBlockSource.open(config))
            .isInstanceOf(SourceRefusedException.class)
            .hasMessageEndingWith("403 Forbidden (SignatureDoesNotMatch)");
      }
    }
  }
}
