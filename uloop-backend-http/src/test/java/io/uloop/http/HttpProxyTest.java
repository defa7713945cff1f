/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** By which way a server is reached: through a proxy, through a unix socket. */
@Timeout(60)
final class HttpProxyTest {

  private static final byte[] IMAGE = LyingOrigin.image(3, 100_000);

  @TempDir private Path directory;
  private LyingOrigin origin;

  @BeforeEach
  void start() throws IOException {
    origin = LyingOrigin.serving(IMAGE);
  }

  @AfterEach
  void stop() throws IOException {
    origin.close();
  }

  private static void readsWhole(BlockSource source) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(IMAGE.length);
    source.read(0, dst);
    assertThat(Arrays.equals(dst.array(), IMAGE)).isTrue();
  }

  private static BlockSource open(URI uri, String... properties) throws IOException {
    SourceOptions.Builder options = SourceOptions.builder();
    for (int i = 0; i < properties.length; i += 2) {
      options.property(properties[i], properties[i + 1]);
    }
    return new HttpSourceProvider().open(uri, options.build());
  }

  private static URI withUser(URI uri, String user) {
    return URI.create(uri.toString().replace("://", "://" + user + "@"));
  }

  @Test
  void open_httpThroughProxy_sendsTheAbsoluteForm() throws IOException {
    // The origin plays the proxy: it answers whatever the target is.
    String proxy = withUser(origin.uri(), "px:pw").toString();
    try (BlockSource source = open(URI.create("http://image.example/a.img"), "http.proxy", proxy)) {
      readsWhole(source);
    }
    assertThat(origin.requests())
        .allSatisfy(
            r -> {
              assertThat(r.target()).isEqualTo("http://image.example/a.img");
              assertThat(r.headers())
                  .containsEntry("host", "image.example")
                  .containsEntry("proxy-authorization", "Basic cHg6cHc=");
            });
  }

  @Test
  void open_httpsThroughProxy_makesATunnel() throws Exception {
    TestKeys server = TestKeys.make(directory, "server");
    try (LyingOrigin tls = LyingOrigin.servingTls(IMAGE, server.context(server), false);
        TestRelay proxy = TestRelay.proxy("200 Connection established")) {
      String ca = server.certificate().toString();
      try (BlockSource source =
          open(
              withUser(tls.uri(), "me:secret"),
              "http.ca-file",
              ca,
              "http.proxy",
              proxy.url().replace("//", "//px:pw@"))) {
        readsWhole(source);
      }
      assertThat(proxy.heads())
          .isNotEmpty()
          .allSatisfy(
              head ->
                  assertThat(head)
                      .contains("Proxy-Authorization: Basic cHg6cHc=")
                      .doesNotContain("\r\nAuthorization"));
      assertThat(tls.requests())
          .allSatisfy(r -> assertThat(r.headers()).doesNotContainKey("proxy-authorization"));
    }
  }

  @Test
  void open_proxyRefusesTheTunnel_saysSo() throws Exception {
    try (TestRelay proxy = TestRelay.proxy("407 Proxy Authentication Required")) {
      assertThatThrownBy(
              () -> open(URI.create("https://image.example/a"), "http.proxy", proxy.url()))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("proxy answered 407");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "https"})
  void open_proxyIsDown_isSaidOfTheProxy(String scheme) throws IOException {
    int port;
    try (ServerSocket gone = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      port = gone.getLocalPort();
    }
    assertFails(scheme, "127.0.0.1:" + port, 30, "connection refused");
    // No name has so long a part, so no server of names is asked.
    assertFails(scheme, "x".repeat(64) + ".invalid:3128", 30, "unknown host");
  }

  @ParameterizedTest
  @ValueSource(strings = {"http", "https"})
  void open_proxyIsSilent_isSaidOfTheProxy(String scheme) throws IOException {
    // Nobody accepts; the system connects all the same.
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      assertFails(scheme, "127.0.0.1:" + silent.getLocalPort(), 1, "timed out");
    }
  }

  private static void assertFails(String scheme, String proxy, int seconds, String how) {
    URI image = URI.create(scheme + "://image.example/a.img");
    SourceOptions options =
        SourceOptions.builder()
            .timeout(Duration.ofSeconds(seconds))
            .property("http.proxy", "http://px:secret@" + proxy)
            .build();
    assertThatThrownBy(() -> new HttpSourceProvider().open(image, options))
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessageContaining("image.example")
        .hasMessageContaining("proxy " + proxy + ": ")
        .hasMessageEndingWith(how)
        .hasMessageNotContaining("secret");
  }

  @Test
  void open_unixSocket_readsThroughItAndLeaksNothing() throws IOException {
    Path path = directory.resolve("s");
    TestRelay relay = TestRelay.unix(path, origin.uri().getPort());
    try (relay) {
      readOverUnixSocket(path, Lie.STALL_BODY);
      origin.closeConnections();
      readOverUnixSocket(path, Lie.BREAK_OFF);
      long before = selectors();
      for (int i = 0; i < 8; i++) {
        readOverUnixSocket(path, Lie.BREAK_OFF);
      }
      assertThat(selectors()).isEqualTo(before);
    }
  }

  private void readOverUnixSocket(Path path, Lie lie) throws IOException {
    try (BlockSource source =
        open(
            URI.create("http://image.example/a.img"),
            "http.unix-socket",
            path.toString(),
            "http.stall-timeout",
            "0.2")) {
      origin.next(lie, Lie.CLOSE);
      readsWhole(source);
      readsWhole(source);
    }
  }

  /** Counts what a selector holds open; sockets are gone only when the other end has noticed. */
  private static long selectors() throws IOException {
    long count = 0;
    try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path descriptor : descriptors) {
        try {
          if (Files.readSymbolicLink(descriptor).toString().contains("eventpoll")) {
            count++;
          }
        } catch (NoSuchFileException e) {
          // Closed meanwhile.
        }
      }
    }
    return count;
  }
}
