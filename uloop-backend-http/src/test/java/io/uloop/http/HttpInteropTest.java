/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.Metronome;
import io.uloop.SourceChangedException;
import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Servers and proxies that others wrote, each skipped if it is not installed. */
@Tag("interop")
@Timeout(240)
final class HttpInteropTest {

  private static final byte[] IMAGE = LyingOrigin.image(11, (8 << 20) + 777);

  @TempDir private Path directory;
  private Path www;

  @BeforeEach
  void image() throws IOException {
    // Servers that give up root must be able to read it.
    Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
    www = Files.createDirectory(directory.resolve("www"));
    Files.write(www.resolve("image.raw"), IMAGE);
  }

  private static BlockSource open(URI uri, Duration timeout, String... properties)
      throws IOException {
    SourceOptions.Builder options = SourceOptions.builder().timeout(timeout);
    for (int i = 0; i < properties.length; i += 2) {
      options.property(properties[i], properties[i + 1]);
    }
    return new HttpSourceProvider().open(uri, options.build());
  }

  private static BlockSource open(URI uri, String... properties) throws IOException {
    return open(uri, Duration.ofSeconds(10), properties);
  }

  private static URI at(String scheme, int port) {
    return URI.create(
        scheme
            + "://"
            + (scheme.equals("https") ? "localhost" : "127.0.0.1")
            + ":"
            + port
            + "/image.raw");
  }

  private static void readsAll(BlockSource source) throws IOException {
    assertThat(source.size()).isEqualTo(IMAGE.length);
    for (int offset = 0; offset < IMAGE.length; offset += 1 << 20) {
      reads(source, offset, Math.min(1 << 20, IMAGE.length - offset));
    }
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < 100; i++) {
      int length = random.nextInt(1, 100_000);
      reads(source, random.nextInt(IMAGE.length - length), length);
    }
    reads(source, IMAGE.length - 1, 1);
    reads(source, 0, IMAGE.length);
  }

  private static void reads(BlockSource source, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    source.read(offset, dst);
    assertThat(Arrays.equals(dst.array(), 0, length, IMAGE, offset, offset + length))
        .as("bytes from " + offset)
        .isTrue();
  }

  private ForeignProgram nginx(int port, String... server) throws IOException {
    String program = ForeignProgram.need("nginx");
    Path conf = directory.resolve("nginx-" + port + ".conf");
    Files.writeString(
        conf,
        "daemon off; master_process off; pid "
            + directory
            + "/nginx-"
            + port
            + ".pid;\n"
            + "error_log stderr; events {}\n"
            + "http { access_log off; client_body_temp_path "
            + directory
            + "/a;"
            + " proxy_temp_path "
            + directory
            + "/b; fastcgi_temp_path "
            + directory
            + "/c;"
            + " uwsgi_temp_path "
            + directory
            + "/d; scgi_temp_path "
            + directory
            + "/e;\n"
            + "server { root "
            + www
            + ";\n"
            + String.join("\n", server)
            + "\n} }\n");
    return ForeignProgram.run(directory, port, program, "-c", conf.toString());
  }

  private ForeignProgram apache(int port) throws IOException {
    String program = ForeignProgram.need("apache2");
    Path conf = directory.resolve("apache.conf");
    Files.writeString(
        conf,
        "ServerRoot /usr/lib/apache2\nServerName localhost\nListen 127.0.0.1:"
            + port
            + "\n"
            + "PidFile "
            + directory
            + "/apache.pid\nErrorLog "
            + directory
            + "/apache.log\n"
            + "Mutex file:"
            + directory
            + "\nUser www-data\nGroup www-data\n"
            + "LoadModule mpm_event_module modules/mod_mpm_event.so\n"
            + "LoadModule authz_core_module modules/mod_authz_core.so\n"
            + "DocumentRoot "
            + www
            + "\n<Directory "
            + www
            + ">\nRequire all granted\n"
            + "</Directory>\n");
    return ForeignProgram.run(directory, port, program, "-f", conf.toString(), "-DFOREGROUND");
  }

  @Test
  void nginx_wholeAndRandom_areRight() throws IOException {
    int port = ForeignProgram.freePort();
    try (ForeignProgram server = nginx(port, "listen 127.0.0.1:" + port + ";");
        BlockSource source = open(at("http", port))) {
      readsAll(source);
      assertThat(server).isNotNull();
    }
  }

  @Test
  void apache_wholeAndRandom_areRight() throws IOException {
    int port = ForeignProgram.freePort();
    try (ForeignProgram server = apache(port);
        BlockSource source = open(at("http", port))) {
      readsAll(source);
      assertThat(server).isNotNull();
    }
  }

  @Test
  void lighttpd_wholeAndRandom_areRight() throws IOException {
    String program = ForeignProgram.need("lighttpd");
    int port = ForeignProgram.freePort();
    Path conf = directory.resolve("lighttpd.conf");
    Files.writeString(
        conf,
        "server.document-root = \""
            + www
            + "\"\nserver.port = "
            + port
            + "\nserver.bind = \"127.0.0.1\"\n");
    try (ForeignProgram server =
            ForeignProgram.run(directory, port, program, "-D", "-f", conf.toString());
        BlockSource source = open(at("http", port))) {
      readsAll(source);
      assertThat(server).isNotNull();
    }
  }

  @Test
  void caddy_wholeAndRandom_areRight() throws IOException {
    String program = ForeignProgram.need("caddy");
    int port = ForeignProgram.freePort();
    try (ForeignProgram server =
            ForeignProgram.run(
                directory,
                port,
                program,
                "file-server",
                "--listen",
                "127.0.0.1:" + port,
                "--root",
                www.toString());
        BlockSource source = open(at("http", port))) {
      readsAll(source);
      assertThat(server).isNotNull();
    }
  }

  private ForeignProgram python(int port) throws IOException {
    return ForeignProgram.run(
        directory,
        port,
        ForeignProgram.need("python3"),
        "-m",
        "http.server",
        Integer.toString(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        www.toString());
  }

  @Test
  void python_largeImage_isRefusedAsItHasNoRanges() throws IOException {
    int port = ForeignProgram.freePort();
    try (ForeignProgram server = python(port)) {
      assertThatThrownBy(() -> open(at("http", port)))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("does not serve byte ranges");
      assertThat(server).isNotNull();
    }
  }

  @Test
  void python_smallImage_isReadWholeForEachRead() throws IOException {
    Files.write(www.resolve("image.raw"), Arrays.copyOf(IMAGE, Answers.MOST_WHOLE_BYTES));
    int port = ForeignProgram.freePort();
    try (ForeignProgram server = python(port);
        BlockSource source = open(at("http", port))) {
      assertThat(source.size()).isEqualTo(Answers.MOST_WHOLE_BYTES);
      for (int offset = 0; offset < Answers.MOST_WHOLE_BYTES; offset += 5_000) {
        reads(source, offset, Math.min(5_000, Answers.MOST_WHOLE_BYTES - offset));
      }
      assertThat(server).isNotNull();
    }
  }

  @Test
  void nginxWithPrivateCaAndBasicAuth_redirectingToApache_isRead() throws Exception {
    String openssl = ForeignProgram.need("openssl");
    run(
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-subj",
        "/CN=test ca",
        "-days",
        "2");
    run(
        openssl,
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "s.key",
        "-out",
        "s.csr",
        "-subj",
        "/CN=server");
    Files.writeString(directory.resolve("ext"), "subjectAltName=DNS:localhost\n");
    run(
        openssl,
        "x509",
        "-req",
        "-in",
        "s.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "s.crt",
        "-days",
        "2",
        "-extfile",
        "ext");
    Files.writeString(directory.resolve("users"), "me:{PLAIN}secret\n");
    Path user = Files.writeString(directory.resolve("user"), "me:secret\n");
    String ca = directory.resolve("ca.crt").toString();
    int port = ForeignProgram.freePort();
    int plain = ForeignProgram.freePort();
    try (ForeignProgram tls =
            nginx(
                port,
                "listen 127.0.0.1:" + port + " ssl;",
                "ssl_certificate "
                    + directory
                    + "/s.crt; ssl_certificate_key "
                    + directory
                    + "/s.key;",
                "auth_basic x; auth_basic_user_file " + directory + "/users;",
                "location /moved { return 302 http://127.0.0.1:" + plain + "/image.raw; }");
        ForeignProgram target = apache(plain)) {
      try (BlockSource source =
          open(at("https", port), "http.ca-file", ca, "http.user-file", user.toString())) {
        readsAll(source);
      }
      assertThatThrownBy(() -> open(at("https", port), "http.ca-file", ca))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("401");
      try (BlockSource source =
          open(
              at("https", port).resolve("/moved"),
              "http.ca-file",
              ca,
              "http.user-file",
              user.toString(),
              "http.allow-downgrade",
              "true")) {
        readsAll(source);
      }
      throughTinyproxy(port, ca, user);
      assertThat(tls).isNotEqualTo(target);
    }
  }

  // A tunnel to the TLS server, and plain requests.
  private void throughTinyproxy(int tlsPort, String ca, Path user) throws IOException {
    String program = ForeignProgram.need("tinyproxy");
    int port = ForeignProgram.freePort();
    int plain = ForeignProgram.freePort();
    Path conf = directory.resolve("tinyproxy.conf");
    Files.writeString(
        conf,
        "Port "
            + port
            + "\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nConnectPort "
            + tlsPort
            + "\nMaxClients 50\n");
    try (ForeignProgram proxy =
            ForeignProgram.run(directory, port, program, "-d", "-c", conf.toString());
        ForeignProgram server = nginx(plain, "listen 127.0.0.1:" + plain + ";")) {
      try (BlockSource source =
          open(
              at("https", tlsPort),
              "http.ca-file",
              ca,
              "http.user-file",
              user.toString(),
              "http.proxy",
              "http://127.0.0.1:" + port)) {
        readsAll(source);
      }
      try (BlockSource source = open(at("http", plain), "http.proxy", "http://127.0.0.1:" + port)) {
        readsAll(source);
      }
      assertThat(proxy).isNotEqualTo(server);
    }
  }

  private void run(String... command) throws Exception {
    Path log = directory.resolve("command.log");
    Process process =
        new ProcessBuilder(command)
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    assertThat(process.waitFor()).as(Files.readString(log)).isZero();
  }

  @Test
  void nginxDownForFiveSeconds_copyEndsRight() throws Exception {
    int port = ForeignProgram.freePort();
    try (ForeignProgram server = nginx(port, "listen 127.0.0.1:" + port + "; limit_rate 4m;");
        BlockSource source = open(at("http", port), Duration.ofSeconds(30))) {
      CompletableFuture<Void> copy =
          CompletableFuture.runAsync(
              () -> {
                try {
                  readsAll(source);
                } catch (IOException e) {
                  throw new java.io.UncheckedIOException(e);
                }
              });
      TimeUnit.MILLISECONDS.sleep(700);
      server.stop();
      TimeUnit.SECONDS.sleep(5);
      server.start();
      copy.get(120, TimeUnit.SECONDS);
    }
  }

  @Test
  void nginxFileReplaced_readsSayOldAndNewEtag() throws Exception {
    int port = ForeignProgram.freePort();
    try (ForeignProgram server = nginx(port, "listen 127.0.0.1:" + port + ";");
        BlockSource source = open(at("http", port))) {
      reads(source, 0, 4096);
      Path other = Files.write(www.resolve("other"), LyingOrigin.image(12, IMAGE.length + 1));
      Files.move(other, www.resolve("image.raw"), StandardCopyOption.REPLACE_EXISTING);
      String old = source.identity().validator().orElseThrow().value();

      assertThatThrownBy(() -> reads(source, 4096, 4096))
          .isInstanceOf(SourceChangedException.class)
          .hasMessageContaining("was " + old + ", is \"");
      assertThat(server).isNotNull();
    }
  }

  @Test
  void nginxStopped_readsFailInTimeAndRecover() throws Exception {
    int port = ForeignProgram.freePort();
    Duration timeout = Duration.ofSeconds(3);
    try (Metronome metronome = Metronome.start();
        ForeignProgram server = nginx(port, "listen 127.0.0.1:" + port + ";");
        BlockSource source = open(at("http", port), timeout)) {
      reads(source, 0, 4096);
      server.signal("STOP");
      for (int i = 0; i < 3; i++) {
        long started = System.nanoTime();
        assertThatThrownBy(() -> reads(source, 4096, 4096))
            .isInstanceOf(SourceUnavailableException.class);
        assertThat(System.nanoTime() - started)
            .isBetween(
                timeout.toNanos() * 9 / 10, timeout.toNanos() * 3 / 2 + metronome.slackNanos());
      }
      assertThat(Thread.getAllStackTraces().keySet())
          .filteredOn(thread -> thread.getName().startsWith("uloop-"))
          .hasSizeLessThanOrEqualTo(1);
      server.signal("CONT");
      readsSoon(source);
      assertThat(((HttpBlockSource) source).connections().leased()).isZero();
    }
  }

  // The circuit may stay shut for most of a read's time.
  private static void readsSoon(BlockSource source) throws IOException {
    long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (true) {
      try {
        reads(source, 4096, 4096);
        return;
      } catch (SourceUnavailableException e) {
        if (System.nanoTime() - until > 0) {
          throw e;
        }
      }
    }
  }

  @Test
  void s3proxy_signedReads_areRightAndAWrongKeyIsRefused() throws Exception {
    String maven = ForeignProgram.need("mvn");
    Path paths = directory.resolve("class-path");
    Process resolve =
        new ProcessBuilder(
                maven,
                "-q",
                "-f",
                "src/test/s3proxy/pom.xml",
                "-Ds3proxy.version=" + System.getProperty("uloop.s3proxy.version"),
                "-Dmdep.outputFile=" + paths,
                "org.apache.maven.plugins:maven-dependency-plugin:"
                    + System.getProperty("uloop.dependency-plugin.version")
                    + ":build-classpath")
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve("mvn.log").toFile())
            .start();
    if (resolve.waitFor() != 0) {
      System.out.println("skipped: S3Proxy cannot be resolved");
      Assumptions.abort("S3Proxy cannot be resolved");
    }
    Files.createDirectories(directory.resolve("data/bucket"));
    Files.write(directory.resolve("data/bucket/an image.raw"), IMAGE);
    int port = ForeignProgram.freePort();
    Path conf = directory.resolve("s3proxy.conf");
    Files.writeString(
        conf,
        "s3proxy.endpoint=http://127.0.0.1:"
            + port
            + "\ns3proxy.authorization=aws-v2-or-v4\n"
            + "s3proxy.identity=ID\ns3proxy.credential=SECRET\n"
            + "jclouds.provider=filesystem-nio2\njclouds.identity=x\njclouds.credential=y\n"
            + "jclouds.filesystem.basedir="
            + directory
            + "/data\n");
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    URI endpoint = URI.create("http://127.0.0.1:" + port);
    URI object = URI.create("s3://bucket/an%20image.raw");
    try (ForeignProgram server =
        ForeignProgram.run(
            directory,
            port,
            java,
            "-Xmx256m",
            "-cp",
            Files.readString(paths).strip(),
            "org.gaul.s3proxy.Main",
            "--properties",
            conf.toString())) {
      try (HttpBlockSource source =
          HttpBlockSource.open(
              HttpSourceConfig.builder(object)
                  .s3Endpoint(endpoint)
                  .s3Credentials("ID", "SECRET", Optional.empty())
                  .build())) {
        readsAll(source);
      }
      assertThatThrownBy(
              () ->
                  HttpBlockSource.open(
                      HttpSourceConfig.builder(object)
                          .s3Endpoint(endpoint)
                          .s3Credentials("ID", "WRONG", Optional.empty())
                          .build()))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("403");
      assertThat(server).isNotNull();
    }
  }
}
