/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.BlockSource;
import io.uloop.BlockSources;
import io.uloop.SourceOptions;
import io.uloop.core.CachePair;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which URLs are one image's. */
@Timeout(60)
class ImageNameTest {

  /** As docs/http-source.md lists them, those of a shared access signature apart. */
  private static final List<String> SIGNATURES =
      List.of(
          "X-Amz-Signature",
          "x-amz-date",
          "X-Goog-Signature",
          "x-oss-expires",
          "Signature",
          "Expires",
          "Policy",
          "Key-Pair-Id",
          "AWSAccessKeyId",
          "GoogleAccessId",
          "token",
          "access_token",
          "auth",
          "hmac",
          "hdnea",
          "hdnts",
          "sig");

  private static final List<String> SHARED_ACCESS =
      List.of(
          "sv", "ss", "srt", "sp", "se", "st", "spr", "sr", "sip", "si", "skoid", "sktid", "skt",
          "ske", "sks", "skv");

  @TempDir Path directory;

  private static CachePair pair(String url) {
    return PairPlace.of(null, null, URI.create(url));
  }

  @Test
  void url_signedAnew_isTheSamePair() {
    CachePair unsigned = pair("http://host/img");
    for (String name : SIGNATURES) {
      assertThat(pair("http://host/img?" + name + "=aaa")).as(name).isEqualTo(unsigned);
      assertThat(pair("http://host/img?" + name + "=bbb")).as(name).isEqualTo(unsigned);
    }
    assertThat(pair("http://host/img?v=1&X-Amz-Date=1&X-Amz-Signature=a"))
        .isEqualTo(pair("http://host/img?v=1&X-Amz-Date=2&X-Amz-Signature=b"))
        .isNotEqualTo(pair("http://host/img?v=2&X-Amz-Date=2&X-Amz-Signature=b"));
  }

  @ParameterizedTest
  @CsvSource({
    "HTTP://user:secret@Host:80/a?b=C#d, http://host/a?b=C",
    "https://host:443, https://host/",
    "https://host:/x, https://host/x",
    "http://host:443/x, http://host:443/x",
    "http://[::1]:80/x, http://[::1]/x",
    "http://[::80]/x, http://[::80]/x",
    "http://a_b/x?c, http://a_b/x?c",
    "s3://bucket/key?token=a, s3://bucket/key?token=a",
    "file:/tmp/x, file:/tmp/x"
  })
  void of_formsOfOneUrl_areOneName(String url, String name) {
    assertThat(ImageName.of(URI.create(url))).isEqualTo(name);
  }

  /** The source knows the identity when it is open; the name has to tell the same URLs apart. */
  @Test
  void of_urlsOfAnImage_areOneNameWhereTheSourceHasOneIdentity() throws IOException {
    Files.write(directory.resolve("image"), new byte[5000]);
    try (FileOrigin origin = new FileOrigin(directory, 0)) {
      String image = origin.uri("image");
      TreeMap<String, String> queries = new TreeMap<>();
      queries.put("", identity(image));
      for (List<String> names :
          List.of(SIGNATURES, SHARED_ACCESS, List.of("v", "x-amzn", "tokens"))) {
        for (String name : names) {
          for (String query :
              List.of(name + "=a", name, "v=1&" + name + "=a&&w=2", name + "=a&sig=x")) {
            queries.put("?" + query, identity(image + "?" + query));
          }
        }
      }
      assertThat(queries).hasSizeGreaterThan(100);
      queries.forEach(
          (one, identity) ->
              queries.forEach(
                  (other, otherIdentity) ->
                      assertThat(pair(image + one).equals(pair(image + other)))
                          .as("%s and %s", one, other)
                          .isEqualTo(identity.equals(otherIdentity))));
    }
  }

  private static String identity(String url) throws IOException {
    try (BlockSource source = BlockSources.installed().open(url, SourceOptions.builder().build())) {
      return source.identity().uri();
    }
  }
}
