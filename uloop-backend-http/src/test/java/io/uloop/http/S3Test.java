/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The s3 scheme: places, signatures, where keys come from. */
@Timeout(60)
final class S3Test {

  // The pair that the S3 API Reference uses in its examples.
  private static final S3Credentials EXAMPLE =
      new S3Credentials(
          "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Optional.empty());

  @TempDir private Path directory;

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
  void find_environmentThenFiles_inThisOrder() throws IOException {
    Path aws = Files.createDirectory(directory.resolve(".aws"));
    Files.writeString(
        aws.resolve("credentials"),
        "[default]\naws_access_key_id = A\naws_secret_access_key = SA\n"
            + "[other]\naws_access_key_id=B\naws_secret_access_key=SB\naws_session_token=T\n");
    Files.writeString(
        aws.resolve("config"),
        "[default]\nregion=eu-north-1\n[profile other]\nregion = eu-south-1\n");

    assertThat(
            S3Credentials.find(
                Map.of("AWS_ACCESS_KEY_ID", "E", "AWS_SECRET_ACCESS_KEY", "SE"), directory, null))
        .isEqualTo(new S3Credentials("E", "SE", Optional.empty()));
    assertThat(S3Credentials.find(Map.of(), directory, null))
        .isEqualTo(new S3Credentials("A", "SA", Optional.empty()));
    assertThat(S3Credentials.find(Map.of("AWS_PROFILE", "other"), directory, null))
        .isEqualTo(new S3Credentials("B", "SB", Optional.of("T")));
    assertThat(S3Credentials.region(Map.of(), directory, null)).isEqualTo("eu-north-1");
    assertThat(S3Credentials.region(Map.of(), directory, "other")).isEqualTo("eu-south-1");
    assertThat(S3Credentials.region(Map.of("AWS_REGION", "r"), directory, "other")).isEqualTo("r");
    assertThatThrownBy(() -> S3Credentials.find(Map.of(), directory.resolve("none"), null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("s3.anonymous");
  }

  @Test
  void toString_credentials_hidesTheSecret() {
    assertThat(EXAMPLE.toString()).doesNotContain("wJalr");
  }

  @Test
  void read_expiredToken_isReadAgain() throws IOException {
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
        server.when(r -> !"token2".equals(r.headers().get("x-amz-security-token")), Lie.FORBIDDEN);
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
}
