/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where S3 keys are looked for: environment, files, container, instance. */
@Timeout(30)
final class S3CredentialsTest {

  private static final String EXPIRES = "2030-01-02T03:04:05Z";
  private static final Map<String, String> DISABLED = Map.of("AWS_EC2_METADATA_DISABLED", "true");

  @TempDir private Path home;
  private final List<String> asked = new CopyOnWriteArrayList<>();
  private HttpServer services;
  private String code = "Success";
  private int waitMillis = 20_000;
  private String sessionToken = "t==";

  @BeforeEach
  void start() throws IOException {
    services = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    services.createContext("/latest/api/token", this::token);
    services.createContext("/latest/meta-data/iam/security-credentials/", this::role);
    services.createContext("/container", this::container);
    services.start();
  }

  @AfterEach
  void stop() {
    services.stop(0);
  }

  private String url() {
    return "http://127.0.0.1:" + services.getAddress().getPort();
  }

  private void answer(HttpExchange exchange, int status, String body) throws IOException {
    asked.add(exchange.getRequestMethod() + " " + exchange.getRequestURI());
    byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
    exchange.getResponseBody().write(bytes);
    exchange.close();
  }

  private void token(HttpExchange exchange) throws IOException {
    boolean right =
        exchange.getRequestMethod().equals("PUT")
            && exchange.getRequestHeaders().containsKey("X-aws-ec2-metadata-token-ttl-seconds");
    answer(exchange, right ? 200 : 400, right ? "session" : "");
  }

  private void role(HttpExchange exchange) throws IOException {
    if (!"session".equals(exchange.getRequestHeaders().getFirst("X-aws-ec2-metadata-token"))) {
      answer(exchange, 401, "");
    } else if (exchange.getRequestURI().getPath().endsWith("/")) {
      answer(exchange, 200, "my-role\n");
    } else {
      answer(exchange, 200, keys("I"));
    }
  }

  private void container(HttpExchange exchange) throws IOException {
    String token = exchange.getRequestHeaders().getFirst("Authorization");
    answer(exchange, "wrong".equals(token) ? 403 : 200, keys("C" + (token == null ? "" : token)));
  }

  // As the services write it, and with an escape that JSON allows.
  private String keys(String name) {
    return "{\n \"Code\" : \""
        + code
        + "\",\n \"LastUpdated\" : \"2026-01-01T00:00:00Z\",\n \"AccessKeyId\" : \""
        + name
        + "\",\n \"SecretAccessKey\" : \"a\\/b\\u002bc\",\n \"Token\" : \""
        + sessionToken
        + "\",\n \"Expiration\" : \""
        + EXPIRES
        + "\"\n}";
  }

  private static S3Credentials temporary(String name) {
    return new S3Credentials(
        name, "a/b+c", Optional.of("t=="), Optional.of(Instant.parse(EXPIRES)));
  }

  private S3Credentials find(Map<String, String> environment, String profile) throws IOException {
    // Never the service of the machine that the test runs on.
    Map<String, String> closed = new HashMap<>(environment);
    if (!closed.containsKey("AWS_EC2_METADATA_SERVICE_ENDPOINT")) {
      closed.putAll(DISABLED);
    }
    return new S3CredentialChain(closed, home, profile, new AwsMetadata(closed, url(), waitMillis))
        .read();
  }

  private Map<String, String> instance(String... more) {
    Map<String, String> environment = new HashMap<>();
    environment.put("AWS_EC2_METADATA_SERVICE_ENDPOINT", url() + "/");
    for (int i = 0; i < more.length; i += 2) {
      environment.put(more[i], more[i + 1]);
    }
    return environment;
  }

  private void files(String credentials, String config) throws IOException {
    Path aws = Files.createDirectories(home.resolve(".aws"));
    Files.writeString(aws.resolve("credentials"), credentials);
    Files.writeString(aws.resolve("config"), config);
  }

  @Test
  void read_environmentThenFiles_inThisOrder() throws IOException {
    files(
        "[default]\naws_access_key_id = A\naws_secret_access_key = SA\n; comment = x\n"
            + "[other] # comment\naws_access_key_id=B\naws_secret_access_key=SB\n"
            + "aws_session_token=T\n",
        "[default]\nregion=eu-north-1\n[profile  other]\nregion = eu-south-1\n"
            + "[profile third]\naws_access_key_id=D\naws_secret_access_key=SD\n");
    Map<String, String> keys = Map.of("AWS_ACCESS_KEY_ID", "E", "AWS_SECRET_ACCESS_KEY", "SE");

    assertThat(find(keys, null)).isEqualTo(new S3Credentials("E", "SE", Optional.empty()));
    assertThat(find(keys, "other")).isEqualTo(new S3Credentials("B", "SB", Optional.of("T")));
    assertThat(find(Map.of(), null)).isEqualTo(new S3Credentials("A", "SA", Optional.empty()));
    assertThat(find(Map.of("AWS_PROFILE", "other"), null).accessKey()).isEqualTo("B");
    assertThat(find(Map.of("AWS_PROFILE", "third"), null).accessKey()).isEqualTo("D");
    assertThat(asked).isEmpty();
    assertThat(S3CredentialChain.region(Map.of(), home, null)).isEqualTo("eu-north-1");
    assertThat(S3CredentialChain.region(Map.of(), home, "other")).isEqualTo("eu-south-1");
    assertThat(S3CredentialChain.region(Map.of("AWS_REGION", "r"), home, "other")).isEqualTo("r");
  }

  @Test
  void read_filesElsewhere_areFound() throws IOException {
    Path file =
        Files.writeString(
            home.resolve("keys"), "[default]\naws_access_key_id=X\naws_secret_access_key=Y\n");

    assertThat(find(Map.of("AWS_SHARED_CREDENTIALS_FILE", file.toString()), null).accessKey())
        .isEqualTo("X");
  }

  @Test
  void read_none_saysWhereItLooked() {
    assertThatThrownBy(() -> find(DISABLED, null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("AWS_ACCESS_KEY_ID")
        .hasMessageContaining(home.resolve(".aws/credentials").toString())
        .hasMessageContaining("AWS_EC2_METADATA_DISABLED")
        .hasMessageContaining("s3.anonymous");
    assertThat(asked).isEmpty();
  }

  @Test
  void read_namedProfileWithoutKeys_looksNowhereElse() {
    assertThatThrownBy(() -> find(instance(), "other"))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("'other'");
    assertThat(asked).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {"role_arn", "credential_process", "sso_session"})
  void read_profileWithAnotherWay_namesIt(String way) throws IOException {
    files("", "[default]\n" + way + " = x\n");

    assertThatThrownBy(() -> find(instance(), null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining(way);
  }

  @Test
  void read_container_isAskedBeforeTheInstance() throws IOException {
    Map<String, String> environment =
        instance("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/container?id=1");

    assertThat(find(environment, null)).isEqualTo(temporary("C"));
    assertThat(asked).containsExactly("GET /container?id=1");
  }

  @Test
  void read_containerTokenFile_isReadAnewEachTime() throws IOException {
    Path file = Files.writeString(home.resolve("token"), "one\n");
    Map<String, String> environment =
        Map.of(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            url() + "/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "wrong",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            file.toString());

    assertThat(find(environment, null)).isEqualTo(temporary("Cone"));
    Files.writeString(file, "two\n");
    assertThat(find(environment, null)).isEqualTo(temporary("Ctwo"));
  }

  @Test
  void read_containerRefuses_isRefusedWithoutTheToken() {
    Map<String, String> environment =
        Map.of(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            url() + "/container?secret=1",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "wrong");

    assertThatThrownBy(() -> find(environment, null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("403")
        .hasMessageNotContaining("wrong")
        .hasMessageNotContaining("secret=1");
  }

  @Test
  void read_containerElsewhereOverHttp_isNotAsked() {
    assertThatThrownBy(
            () -> find(Map.of("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://keys.example/x"), null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("neither https");
  }

  @Test
  void read_containerDown_isUnavailable() {
    services.stop(0);
    assertThatThrownBy(
            () -> find(instance("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/container"), null))
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessageContaining("connection refused");
  }

  @Test
  void read_tokenWithLineBreak_isRefusedWithoutShowingIt() {
    assertThatThrownBy(
            () ->
                find(
                    instance(
                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                        "/container",
                        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                        "se\ncret"),
                    null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageNotContaining("cret");
  }

  @Test
  void read_instance_isAskedWithASessionToken() throws IOException {
    assertThat(find(instance(), null)).isEqualTo(temporary("I"));
    assertThat(asked)
        .containsExactly(
            "PUT /latest/api/token",
            "GET /latest/meta-data/iam/security-credentials/",
            "GET /latest/meta-data/iam/security-credentials/my-role");
  }

  @Test
  void read_instanceFails_isNoCredentials() {
    code = "Failed";
    assertThatThrownBy(() -> find(instance(), null))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("no keys for role my-role");
  }

  // Tokens of roles with session tags and policies are of several kilobytes.
  @ParameterizedTest
  @ValueSource(strings = {"IQoJb3JpZ2luX2VjE", "\\/"})
  void read_longSessionToken_isTakenWhole(String piece) throws IOException {
    sessionToken = piece.repeat(30_000 / piece.length());

    assertThat(find(instance(), null).sessionToken()).contains(sessionToken.replace("\\/", "/"));
  }

  @Test
  void read_instanceNeverAnswers_isNoCredentials() throws IOException {
    waitMillis = 1000;
    try (ServerSocket silent = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
      Map<String, String> environment =
          Map.of("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:" + silent.getLocalPort());
      assertThatThrownBy(() -> find(environment, null))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("timed out");
    }
  }

  // Each byte comes within the time that one read may wait; only all of them together do not.
  @ParameterizedTest
  @Timeout(value = 30, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  @ValueSource(
      strings = {
        "H",
        "HTTP/1.1 200 OK\r\nX-Long: ",
        "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
      })
  void read_serviceTrickles_endsAllTheSame(String begin) throws Exception {
    waitMillis = 400;
    try (Trickling service = new Trickling(begin)) {
      Map<String, String> instance = Map.of("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url());
      Map<String, String> container =
          Map.of("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url() + "/container");

      assertThatThrownBy(() -> find(instance, null))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("timed out");
      assertThatThrownBy(() -> find(container, null))
          .isInstanceOf(SourceUnavailableException.class)
          .hasMessageContaining("timed out");
    }
  }

  /** Begins each answer as it is told and goes on a byte at a time, until it is closed. */
  private static final class Trickling implements AutoCloseable {
    private final ServerSocket server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final CountDownLatch over = new CountDownLatch(1);
    private final String begin;

    Trickling(String begin) throws IOException {
      this.begin = begin;
      start(this::accept);
    }

    String url() {
      return "http://127.0.0.1:" + server.getLocalPort();
    }

    private static void start(Runnable work) {
      Thread thread = new Thread(work, "trickling");
      thread.setDaemon(true);
      thread.start();
    }

    private void accept() {
      try {
        while (true) {
          Socket client = server.accept();
          start(() -> trickle(client));
        }
      } catch (IOException e) {
        return; // closed
      }
    }

    private void trickle(Socket client) {
      try (client) {
        client.getOutputStream().write(begin.getBytes(StandardCharsets.US_ASCII));
        while (!over.await(20, TimeUnit.MILLISECONDS)) {
          client.getOutputStream().write('a');
        }
      } catch (IOException | InterruptedException e) {
        return; // the client has closed
      }
    }

    @Override
    public void close() throws IOException {
      over.countDown();
      server.close();
    }
  }
}
