/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.BlockSource;
import io.uloop.BlockSourceContract;
import io.uloop.BlockSources;
import io.uloop.SourceOptions;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The embedded origin is a good one: the HTTP source keeps its contract on it. */
class FileOriginTest extends BlockSourceContract {

  @TempDir Path directory;

  @Override
  protected Origin originOf(byte[] content) throws IOException {
    Files.write(directory.resolve("image"), content);
    FileOrigin origin = new FileOrigin(directory, 0);
    return new Origin() {
      @Override
      public BlockSource open() throws IOException {
        return BlockSources.installed().open(origin.uri("image"), SourceOptions.defaults());
      }

      @Override
      public void close() {
        origin.close();
      }
    };
  }

  @ParameterizedTest
  @CsvSource({
    "/digits, '', 200, 0123456789",
    "/digits, bytes=2-4, 206, 234",
    "/digits, bytes=7-, 206, 789",
    "/digits, bytes=-2, 206, 89",
    "/digits, bytes=8-99, 206, 89",
    "/digits, bytes=10-, 416, ''",
    "/digits, bytes=-0, 416, ''",
    "/digits, bytes=-, 200, 0123456789",
    "/none, '', 404, ''",
    "/../secret, '', 404, ''"
  })
  void get_rangesAndPaths_areAnsweredAsRfc9110Says(
      String path, String range, int status, String body) throws Exception {
    Path served = Files.createDirectory(directory.resolve("served"));
    Files.writeString(served.resolve("digits"), "0123456789");
    Files.writeString(directory.resolve("secret"), "secret");
    try (FileOrigin origin = new FileOrigin(served, 0)) {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(URI.create(origin.uri("").replaceFirst("/$", "") + path));
      if (!range.isEmpty()) {
        request.header("Range", range);
      }

      HttpResponse<String> answer =
          HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());

      assertThat(answer.statusCode()).isEqualTo(status);
      assertThat(answer.body()).isEqualTo(body);
      assertThat(origin.bytesSent()).isEqualTo(body.length());
    }
  }

  @Test
  void head_file_hasSizeAndValidators() throws Exception {
    Files.writeString(directory.resolve("digits"), "0123456789");
    try (FileOrigin origin = new FileOrigin(directory, 0)) {
      HttpRequest request =
          HttpRequest.newBuilder(URI.create(origin.uri("digits")))
              .method("HEAD", HttpRequest.BodyPublishers.noBody())
              .build();

      HttpResponse<Void> answer =
          HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.discarding());

      assertThat(answer.headers().firstValue("Content-Length")).contains("10");
      assertThat(answer.headers().firstValue("Accept-Ranges")).contains("bytes");
      assertThat(answer.headers().firstValue("ETag")).isPresent();
      assertThat(answer.headers().firstValue("Last-Modified")).isPresent();
    }
  }
}
