/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Who is shown what: credentials, headers, redirects, TLS. */
@Timeout(60)
final class HttpAccessTest {

  private static final byte[] IMAGE = LyingOrigin.image(3, 100_000);

  @TempDir private static Path shared;
  private static TestKeys server;
  private static TestKeys client;

  @TempDir private Path directory;
  private LyingOrigin origin;

  @BeforeAll
  static void keys() throws Exception {
    server = TestKeys.make(shared, "server");
    client = TestKeys.make(shared, "client");
  }

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

  private void wantsAuthorization(String value) {
    origin.when(r -> !value.equals(r.headers().get("authorization")), Lie.UNAUTHORIZED);
  }

  @Test
  void open_unknownProperty_isAnErrorThatNamesIt() {
    assertThatThrownBy(() -> open(origin.uri(), "http.colour", "red"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("http.colour");
  }

  @Test
  void open_userInfoInUrl_isSentAndNeverShown() throws IOException {
    wantsAuthorization("Basic bWU6c2VjcmV0"); // me:secret

    try (BlockSource source = open(withUser(origin.uri(), "me:secret"))) {
      readsWhole(source);
      assertThat(source.identity().uri() + source).doesNotContain("secret").doesNotContain("me:");
    }
  }

  @Test
  void open_wrongPassword_isRefusedWithoutShowingIt() {
    wantsAuthorization("Basic other");

    assertThatThrownBy(() -> open(withUser(origin.uri(), "me:secret")))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("401")
        .hasMessageNotContaining("secret");
  }

  @Test
  void open_userFile_isRead() throws IOException {
    wantsAuthorization("Basic bWU6c2VjcmV0");
    Path file = Files.writeString(directory.resolve("user"), "me:secret\n");

    try (BlockSource source = open(origin.uri(), "http.user-file", file.toString())) {
      readsWhole(source);
    }
  }

  @Test
  void read_bearerFileReplaced_isReadAgainAfter401() throws IOException {
    Path file = Files.writeString(directory.resolve("token"), "one\n");
    wantsAuthorization("Bearer one");

    try (BlockSource source = open(origin.uri(), "http.bearer-file", file.toString())) {
      readsWhole(source);
      wantsAuthorization("Bearer two");
      Files.writeString(file, "two\n");
      readsWhole(source);
    }
  }

  @Test
  void read_callback_isAskedOncePerExpiry() throws IOException {
    AtomicInteger asked = new AtomicInteger();
    CredentialSource tokens =
        renew -> Optional.of(HttpCredentials.bearer("t" + asked.incrementAndGet()));
    wantsAuthorization("Bearer t1");

    try (HttpBlockSource source =
        HttpBlockSource.open(HttpSourceConfig.builder(origin.uri()).credentials(tokens).build())) {
      wantsAuthorization("Bearer t2");
      readsWhole(source);
      readsWhole(source);
    }
    assertThat(asked).hasValue(2);
  }

  @Test
  void read_callbackHasNothingNew_isRefused() throws IOException {
    try (HttpBlockSource source =
        HttpBlockSource.open(
            HttpSourceConfig.builder(origin.uri())
                .credentials(renew -> Optional.of(HttpCredentials.bearer("same")))
                .build())) {
      wantsAuthorization("Bearer other");

      assertThatThrownBy(() -> readsWhole(source))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("401");
    }
  }

  @Test
  void open_netrc_isUsedForItsHost() throws IOException {
    wantsAuthorization("Basic bWU6c2VjcmV0");
    Path file =
        Files.writeString(
            directory.resolve("netrc"),
            "machine other login x password y\nmachine 127.0.0.1\n  login me\n  password secret\n");

    try (BlockSource source = open(origin.uri(), "http.netrc", file.toString())) {
      readsWhole(source);
    }
  }

  @Test
  void netrc_macroAndDefault_areUnderstood() throws IOException {
    List<String> lines =
        List.of(
            "macdef init",
            "machine a login no password no",
            "",
            "# comment",
            "machine b account q login bl password bp",
            "default login d password dp");

    assertThat(Netrc.find(lines, "a")).contains(HttpCredentials.basic("d", "dp"));
    assertThat(Netrc.find(lines, "b")).contains(HttpCredentials.basic("bl", "bp"));
  }

  @Test
  void netrc_quotedTokens_areWhatIsBetweenTheQuotes() throws IOException {
    List<String> lines =
        List.of(
            "machine \"a\" login \"the user\" password \"p \\\"q\\\" \\\\ \\t\\r\\n # $1\"",
            "machine b login \"\" password pa\"ss\"",
            "machine c login \"macdef\" password \"machine\"");

    assertThat(Netrc.find(lines, "a"))
        .contains(HttpCredentials.basic("the user", "p \"q\" \\ \t\r\n # $1"));
    assertThat(Netrc.find(lines, "b")).contains(HttpCredentials.basic("", "pa\"ss\""));
    assertThat(Netrc.find(lines, "c")).contains(HttpCredentials.basic("macdef", "machine"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"\"secret", "\"secret\\\"", "\"secret word\\", "\""})
  void open_netrcWithoutTheEndOfAQuote_isRefusedWithoutShowingIt(String password)
      throws IOException {
    String text = "machine 127.0.0.1\n  login me\n  password " + password + "\n";
    Path file = Files.writeString(directory.resolve("netrc"), text);

    assertThatThrownBy(() -> open(origin.uri(), "http.netrc", file.toString()))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("netrc")
        .hasMessageContaining("line 3")
        .hasMessageNotContaining("secret");
  }

  @Test
  void open_header_isSent() throws IOException {
    origin.when(r -> !"k1".equals(r.headers().get("x-api-key")), Lie.FORBIDDEN);

    try (BlockSource source = open(origin.uri(), "http.header", "X-Api-Key: k1\nX-Other: 2")) {
      readsWhole(source);
    }
  }

  @Test
  void open_headerOfTheSource_isAnError() {
    assertThatThrownBy(() -> open(origin.uri(), "http.header", "Range: bytes=0-1"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("http.header");
  }

  @Test
  void open_redirectToOtherOrigin_takesNoCredentialsThere() throws IOException {
    try (LyingOrigin target = LyingOrigin.serving(IMAGE)) {
      origin.always(LyingOrigin.redirect(302, target.uri().toString()));

      try (BlockSource source =
          open(withUser(origin.uri(), "me:secret"), "http.header", "X-Api-Key: k1")) {
        readsWhole(source);
      }
      assertThat(origin.requests())
          .allSatisfy(r -> assertThat(r.headers()).containsKeys("authorization", "x-api-key"));
      assertThat(target.requests())
          .isNotEmpty()
          .allSatisfy(
              r -> assertThat(r.headers()).doesNotContainKeys("authorization", "x-api-key"));
    }
  }

  @Test
  void open_redirectWithinOrigin_keepsCredentials() throws IOException {
    wantsAuthorization("Basic bWU6c2VjcmV0");
    origin.next(LyingOrigin.redirect(307, "/elsewhere?x=1"));

    try (BlockSource source = open(withUser(origin.uri(), "me:secret"))) {
      readsWhole(source);
    }
    assertThat(origin.requests().get(2).target()).isEqualTo("/elsewhere?x=1");
  }

  @Test
  void read_afterRedirect_goesStraightToTheTarget() throws IOException {
    try (LyingOrigin target = LyingOrigin.serving(IMAGE)) {
      origin.always(LyingOrigin.redirect(302, target.uri().toString()));
      try (BlockSource source = open(origin.uri())) {
        origin.forgetRequests();
        readsWhole(source);
        assertThat(origin.requests()).isEmpty();
      }
    }
  }

  @Test
  void read_signedUrlExpired_isResolvedAgainFromTheFirst() throws IOException {
    try (LyingOrigin target = LyingOrigin.serving(IMAGE)) {
      origin.always(LyingOrigin.redirect(302, target.uri("/image?sig=1").toString()));
      try (BlockSource source = open(origin.uri())) {
        target.when(r -> !r.target().equals("/image?sig=2"), Lie.FORBIDDEN);
        origin.always(LyingOrigin.redirect(302, target.uri("/image?sig=2").toString()));

        readsWhole(source);
        readsWhole(source);
      }
    }
  }

  @Test
  void read_signedUrlExpiresUnderManyReaders_allGoOn() throws Exception {
    try (LyingOrigin target = LyingOrigin.serving(IMAGE)) {
      origin.always(LyingOrigin.redirect(302, target.uri("/image?sig=1").toString()));
      try (BlockSource source = open(origin.uri())) {
        target.when(r -> !r.target().equals("/image?sig=2"), Lie.FORBIDDEN);
        origin.always(LyingOrigin.redirect(302, target.uri("/image?sig=2").toString()));
        List<CompletableFuture<Void>> readers = new ArrayList<>();
        for (int i = 0; i < 16; i++) {
          readers.add(
              CompletableFuture.runAsync(
                  () -> {
                    try {
                      readsWhole(source);
                    } catch (IOException e) {
                      throw new UncheckedIOException(e);
                    }
                  },
                  command -> new Thread(command).start()));
        }
        for (CompletableFuture<Void> reader : readers) {
          reader.get(20, TimeUnit.SECONDS);
        }
      }
    }
  }

  @Test
  void read_redirectTargetGoneForGood_isRefused() throws IOException {
    try (LyingOrigin target = LyingOrigin.serving(IMAGE)) {
      origin.always(LyingOrigin.redirect(302, target.uri().toString()));
      try (BlockSource source = open(origin.uri())) {
        target.always(Lie.NOT_FOUND);

        assertThatThrownBy(() -> readsWhole(source))
            .isInstanceOf(SourceRefusedException.class)
            .hasMessageContaining("404");
      }
    }
  }

  @Test
  void open_redirectLoop_isRefused() {
    origin.always(Lie.REDIRECT_LOOP);

    assertThatThrownBy(() -> open(origin.uri()))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("redirects");
  }

  @Test
  void open_redirectToFile_isRefused() {
    origin.always(LyingOrigin.redirect(302, "file:///etc/passwd"));

    assertThatThrownBy(() -> open(origin.uri())).isInstanceOf(SourceRefusedException.class);
  }

  @Test
  void open_tlsWithOwnCa_readsAndWithoutItIsRefused() throws Exception {
    try (LyingOrigin tls = LyingOrigin.servingTls(IMAGE, server.context(client), false)) {
      try (BlockSource source = open(tls.uri(), "http.ca-file", server.certificate().toString())) {
        readsWhole(source);
      }
      assertThatThrownBy(() -> open(tls.uri()))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("TLS");
      try (BlockSource source = open(tls.uri(), "http.insecure", "true")) {
        readsWhole(source);
      }
      URI otherName = URI.create(tls.uri().toString().replace("localhost", "127.0.0.1"));
      assertThatThrownBy(() -> open(otherName, "http.ca-file", server.certificate().toString()))
          .isInstanceOf(SourceRefusedException.class);
    }
  }

  @Test
  void open_tlsWithClientCertificate_isLetIn() throws Exception {
    try (LyingOrigin tls = LyingOrigin.servingTls(IMAGE, server.context(client), true)) {
      String ca = server.certificate().toString();
      try (BlockSource source =
          open(
              tls.uri(),
              "http.ca-file",
              ca,
              "http.client-cert",
              client.certificate().toString(),
              "http.client-key",
              client.key().toString())) {
        readsWhole(source);
      }
      assertThatThrownBy(() -> open(tls.uri(), "http.ca-file", ca))
          .isInstanceOf(io.uloop.UloopException.class);
    }
  }

  @Test
  void open_redirectFromHttpsToHttp_isRefusedUnlessAllowed() throws Exception {
    try (LyingOrigin tls = LyingOrigin.servingTls(IMAGE, server.context(client), false)) {
      tls.always(LyingOrigin.redirect(301, origin.uri().toString()));
      String ca = server.certificate().toString();

      assertThatThrownBy(() -> open(tls.uri(), "http.ca-file", ca))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("http.allow-downgrade");
      try (BlockSource source =
          open(tls.uri(), "http.ca-file", ca, "http.allow-downgrade", "true")) {
        readsWhole(source);
      }
    }
  }

  @Test
  void encrypted_tellsWhereRedirectsLead() throws Exception {
    try (LyingOrigin tls = LyingOrigin.servingTls(IMAGE, server.context(client), false)) {
      String ca = server.certificate().toString();
      try (BlockSource plain = open(origin.uri());
          BlockSource direct = open(tls.uri(), "http.ca-file", ca);
          BlockSource mirrored =
              open(origin.uri(), "http.ca-file", ca, "http.mirror", tls.uri().toString())) {
        assertThat(((HttpBlockSource) plain).encrypted()).isFalse();
        assertThat(((HttpBlockSource) direct).encrypted()).isTrue();
        assertThat(((HttpBlockSource) mirrored).encrypted()).isTrue();
      }
      origin.always(LyingOrigin.redirect(302, tls.uri().toString()));
      try (BlockSource redirected = open(origin.uri(), "http.ca-file", ca)) {
        assertThat(((HttpBlockSource) redirected).encrypted()).isTrue();
        readsWhole(redirected);
      }
    }
  }
}
