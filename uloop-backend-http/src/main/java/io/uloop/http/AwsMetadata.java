/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.HttpEntity;
import org.apache.hc.core5.http.HttpException;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.impl.io.HttpRequestExecutor;
import org.apache.hc.core5.http.message.BasicClassicHttpRequest;
import org.apache.hc.core5.http.protocol.HttpCoreContext;
import org.apache.hc.core5.io.Closer;
import org.jspecify.annotations.Nullable;

/**
 * Asks the services that give temporary keys to what runs on AWS.
 *
 * <p><b>Source:</b> AWS SDKs and Tools Reference Guide, "Container credential provider" and "IMDS
 * credential provider". Of the instance's service only version 2, which wants a session token, is
 * asked: version 1 gives the keys to whoever can make a program fetch a URL.
 *
 * <p>No proxy is asked. Each request has a second to connect and two in all, so that an open
 * elsewhere, where nobody answers, loses little time; a {@link Watchdog} ends it within 100 ms of
 * them, whatever it is blocked in but the resolver of names.
 *
 * <p><b>Threads:</b> any.
 */
final class AwsMetadata {

  private static final int CONNECT_MILLIS = 1000;
  private static final int MOST_BYTES = 64 * 1024;
  private static final String CONTAINERS = "http://169.254.170.2";
  private static final String INSTANCES = "http://169.254.169.254";
  private static final String INSTANCES_V6 = "http://[fd00:ec2::254]";
  private static final String ROLES = "/latest/meta-data/iam/security-credentials/";
  // Besides loopback: the services of ECS and EKS.
  private static final Set<String> CONTAINER_HOSTS =
      Set.of("169.254.170.2", "169.254.170.23", "fd00:ec2::23");
  // All fields that matter are strings, and what is in braces has none of their names.
  // Possessive: a group that may give back is matched by recursion, for which the stack is too
  // short with a token of a few kilobytes.
  private static final Pattern FIELD =
      Pattern.compile("\"(\\w+)\"\\s*:\\s*\"((?:[^\"\\\\]++|\\\\.)*+)\"");

  // Of those that JSON has, all but those for control characters, which no key has.
  private static final Pattern ESCAPE = Pattern.compile("\\\\(u[0-9a-fA-F]{4}|[^u])");

  private final Map<String, String> environment;
  private final String containers;
  private final int connectMillis;

  // Without requests it has no thread.
  private final Watchdog watchdog = new Watchdog("uloop-aws-watchdog", () -> false);

  /** What the instance's service said: keys, or why there are none. */
  record Answer(Optional<S3Credentials> credentials, String why) {
    private static Answer none(String why) {
      return new Answer(Optional.empty(), why);
    }
  }

  /** A status and a body. */
  private record Reply(int status, String body) {}

  AwsMetadata(Map<String, String> environment) {
    this(environment, CONTAINERS, CONNECT_MILLIS);
  }

  AwsMetadata(Map<String, String> environment, String containers, int connectMillis) {
    this.environment = environment;
    this.containers = containers;
    this.connectMillis = connectMillis;
  }

  /**
   * Asks the container's service, if the environment names one.
   *
   * @return the keys; empty without a service
   * @throws IOException if there is one and it does not give them
   */
  Optional<S3Credentials> container() throws IOException {
    String relative = environment.getOrDefault("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "");
    String full = environment.getOrDefault("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
    if (relative.isEmpty() && full.isEmpty()) {
      return Optional.empty();
    }
    HttpUrl url = place(relative.isEmpty() ? full : containers + relative);
    boolean near = NoProxy.isLoopback(url.host()) || CONTAINER_HOSTS.contains(url.host());
    if (!url.secure() && !near) {
      throw new SourceRefusedException(
          "AWS_CONTAINER_CREDENTIALS_FULL_URI: neither https nor a container's own service: "
              + url.shown());
    }
    Map<String, String> headers = new HashMap<>();
    String token = containerToken();
    if (!token.isEmpty()) {
      headers.put("Authorization", token);
    }
    Reply reply;
    try {
      reply = ask("GET", url, headers);
    } catch (IOException e) {
      throw new SourceUnavailableException(
          "container credentials of " + url.shown() + ": " + Text.ofFailure(e), e);
    }
    Optional<S3Credentials> found = reply.status() == 200 ? keys(reply.body()) : Optional.empty();
    return Optional.of(
        found.orElseThrow(
            () ->
                new SourceRefusedException(
                    "container credentials of "
                        + url.shown()
                        + ": "
                        + (reply.status() == 200 ? "no keys" : reply.status()))));
  }

  private static HttpUrl place(String text) throws SourceRefusedException {
    try {
      return HttpUrl.of(UriText.parse(text));
    } catch (IllegalArgumentException e) {
      throw new SourceRefusedException(
          "not the URL of a credentials service: " + e.getMessage(), e);
    }
  }

  // The file is replaced while we run; the variable cannot be.
  private String containerToken() throws IOException {
    String file = environment.getOrDefault("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "");
    String token =
        file.isEmpty()
            ? environment.getOrDefault("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
            : Files.readString(Path.of(file)).strip();
    if (token.chars().anyMatch(c -> c < ' ' || c == 0x7f)) {
      throw new SourceRefusedException("control character in the container's token");
    }
    return token;
  }

  /** Asks the instance's service; that there is none is nothing unusual. */
  Answer instance() throws SourceRefusedException {
    if (environment.getOrDefault("AWS_EC2_METADATA_DISABLED", "").equalsIgnoreCase("true")) {
      return Answer.none("AWS_EC2_METADATA_DISABLED");
    }
    String base = environment.getOrDefault("AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
    if (base.isEmpty()) {
      boolean v6 =
          environment
              .getOrDefault("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "")
              .equalsIgnoreCase("IPv6");
      base = v6 ? INSTANCES_V6 : INSTANCES;
    }
    String root = base.replaceFirst("/+$", "");
    HttpUrl shown = place(root);
    try {
      Reply session =
          ask(
              "PUT",
              place(root + "/latest/api/token"),
              Map.of("X-aws-ec2-metadata-token-ttl-seconds", "300"));
      if (session.status() != 200) {
        return Answer.none(shown.shown() + ": " + session.status() + " for a session token");
      }
      Map<String, String> headers = Map.of("X-aws-ec2-metadata-token", session.body().strip());
      Reply roles = ask("GET", place(root + ROLES), headers);
      String role = roles.body().strip().lines().findFirst().orElse("");
      if (roles.status() != 200 || !role.matches("[\\w+=,.@-]+")) {
        return Answer.none(shown.shown() + ": no role");
      }
      Reply reply = ask("GET", place(root + ROLES + role), headers);
      Optional<S3Credentials> found = reply.status() == 200 ? keys(reply.body()) : Optional.empty();
      return found.isPresent()
          ? new Answer(found, "")
          : Answer.none(shown.shown() + ": no keys for role " + role);
    } catch (IOException e) {
      return Answer.none(shown.shown() + ": " + Text.ofFailure(e));
    }
  }

  private static Optional<S3Credentials> keys(String json) {
    Map<String, String> fields = new HashMap<>();
    for (Matcher field = FIELD.matcher(json); field.find(); ) {
      fields.put(field.group(1), unescape(field.group(2)));
    }
    if (!fields.getOrDefault("Code", "Success").equals("Success")) {
      return Optional.empty();
    }
    return S3Credentials.of(
        fields.get("AccessKeyId"),
        fields.get("SecretAccessKey"),
        fields.get("Token"),
        instant(fields.get("Expiration")));
  }

  private static String unescape(String text) {
    return ESCAPE
        .matcher(text)
        .replaceAll(
            escape -> {
              String code = escape.group(1);
              String meant =
                  code.length() == 5
                      ? Character.toString(Integer.parseInt(code.substring(1), 16))
                      : code;
              return Matcher.quoteReplacement(meant);
            });
  }

  private static Optional<Instant> instant(@Nullable String text) {
    try {
      return text == null ? Optional.empty() : Optional.of(Instant.parse(text));
    } catch (DateTimeException e) {
      return Optional.empty();
    }
  }

  // Not HttpURLConnection: it gives each wait for a byte a time of its own, and nobody else its
  // socket; a server that sends a byte now and then, in a head or a chunk's line, held it for ever.
  private Reply ask(String method, HttpUrl url, Map<String, String> headers) throws IOException {
    Attempt attempt =
        new Attempt(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(2L * connectMillis));
    watchdog.add(attempt);
    try (Socket socket = new Socket(Proxy.NO_PROXY)) {
      // Below TLS, whose own close waits for who is in it.
      attempt.enter(() -> Closer.closeQuietly(socket));
      socket.connect(new InetSocketAddress(url.host(), url.port()), connectMillis);
      socket.setSoTimeout(connectMillis);
      return exchange(socket, method, url, headers);
    } catch (IOException e) {
      throw attempt.aborted() == null ? e : timedOut(e);
    } catch (HttpException e) {
      throw new IOException("not an HTTP answer: " + e.getMessage(), e);
    } finally {
      attempt.leave();
      watchdog.remove(attempt);
    }
  }

  private static IOException timedOut(IOException e) {
    return (IOException) new SocketTimeoutException("timed out").initCause(e);
  }

  private static Reply exchange(
      Socket socket, String method, HttpUrl url, Map<String, String> headers)
      throws IOException, HttpException {
    BasicClassicHttpRequest request =
        new BasicClassicHttpRequest(
            method, new HttpHost(url.scheme(), url.host(), url.port()), url.target());
    request.addHeader("Host", url.authority());
    request.addHeader("User-Agent", "uloop");
    request.addHeader("Accept", "*/*");
    request.addHeader("Connection", "close");
    if (method.equals("PUT")) {
      request.addHeader("Content-Length", "0");
    }
    headers.forEach(request::addHeader);
    // Closed at once, by whoever ends it: a close at leisure reads what is left of the body.
    PromptConnection connection = new PromptConnection(Connections.LIMITS);
    try {
      connection.bind(url.secure() ? secured(socket, url) : socket);
      ClassicHttpResponse response =
          new HttpRequestExecutor().execute(request, connection, HttpCoreContext.create());
      HttpEntity entity = response.getEntity();
      return new Reply(response.getCode(), entity == null ? "" : read(entity.getContent()));
    } finally {
      connection.close();
    }
  }

  private static Socket secured(Socket socket, HttpUrl url) throws IOException {
    SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
    SSLSocket secured =
        (SSLSocket) factory.createSocket(socket, url.host(), url.port(), /* autoClose= */ true);
    SSLParameters parameters = secured.getSSLParameters();
    parameters.setEndpointIdentificationAlgorithm("HTTPS");
    secured.setSSLParameters(parameters);
    secured.startHandshake();
    return secured;
  }

  private static String read(InputStream body) throws IOException {
    byte[] bytes = new byte[MOST_BYTES];
    int length = 0;
    for (int n = 0; n >= 0 && length < bytes.length; length += Math.max(0, n)) {
      n = body.read(bytes, length, bytes.length - length);
    }
    return new String(bytes, 0, length, StandardCharsets.UTF_8);
  }
}
