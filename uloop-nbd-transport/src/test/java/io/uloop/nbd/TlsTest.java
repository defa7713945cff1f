/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.Executors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** proto.md, "TLS support". */
@Timeout(30)
class TlsTest {

  private static final int ERR_INVALID = 1 << 31 | 3;
  private static final int ERR_TLS_REQD = 1 << 31 | 5;
  private static final int EPERM = 1;
  private static final int SIZE = 4 << 20;
  private static final byte[] NONE = {};

  @TempDir static Path folder;
  private static TestKeys keys;

  private final MemoryDevice device = new MemoryDevice(SIZE);

  @BeforeAll
  static void makeKeys() throws Exception {
    keys = TestKeys.copyTo(folder);
  }

  private NbdServer start(boolean forced, boolean verify, String... names) throws IOException {
    return NbdServer.start(
        NbdServerConfig.builder()
            .listen("tcp:127.0.0.1:0")
            .tls(NbdTls.ofFolder(keys.folder("server"), forced, verify, Set.of(names)))
            .export(new NbdExport("disk", device))
            .build());
  }

  private static Socket connect(NbdServer server) throws IOException {
    int port = Integer.parseInt(server.places().get(0).replaceAll(".*:", ""));
    Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
    socket.setTcpNoDelay(true);
    return socket;
  }

  private static NbdTestClient over(Socket socket) throws IOException {
    ReadableByteChannel in = Channels.newChannel(socket.getInputStream());
    WritableByteChannel out = Channels.newChannel(socket.getOutputStream());
    return new NbdTestClient(
        new ByteChannel() {
          @Override
          public int read(ByteBuffer dst) throws IOException {
            return in.read(dst);
          }

          @Override
          public int write(ByteBuffer src) throws IOException {
            return out.write(src);
          }

          @Override
          public boolean isOpen() {
            return !socket.isClosed();
          }

          @Override
          public void close() throws IOException {
            socket.close();
          }
        });
  }

  /** Upgrades a connection, as a client with or without keys of its own. */
  private static NbdTestClient upgrade(Socket socket, String own, String... protocols)
      throws Exception {
    NbdTestClient plain = over(socket).hello();
    assertThat(plain.outcome(5, NONE)).isEqualTo(1);
    Path its = keys.folder(own == null ? "alice" : own);
    SSLContext context =
        PemFiles.context(
            own == null ? null : its.resolve("client-cert.pem"),
            own == null ? null : its.resolve("client-key.pem"),
            keys.folder("server").resolve("ca-cert.pem"));
    SSLSocket secure =
        (SSLSocket) context.getSocketFactory().createSocket(socket, "localhost", 0, true);
    javax.net.ssl.SSLParameters parameters = secure.getSSLParameters();
    parameters.setEndpointIdentificationAlgorithm("HTTPS");
    secure.setSSLParameters(parameters);
    if (protocols.length > 0) {
      secure.setEnabledProtocols(protocols);
    }
    secure.startHandshake();
    return over(secure);
  }

  @ParameterizedTest
  @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
  void session_upgraded_readsAndWrites(String protocol) throws Exception {
    device.absent(1 << 20, 2 << 20);
    try (NbdServer server = start(true, false);
        NbdTestClient client = upgrade(connect(server), null, protocol)) {
      client.go(8, "disk");
      byte[] data = new byte[1 << 20];
      client.write(0, 1, 12_345, data);
      assertThat(NbdTestClient.error(client.receiveReply(0))).isZero();

      for (int length : new int[] {1, 4096, 100_000, SIZE}) {
        ServerFixture.assertSame(client.read(0, length), device.slice(0, length));
      }
      client.request(0, 2, 1, 0, 0);
      assertThat(client.isClosed()).isTrue();
    }
  }

  /** After so much in one go it is the turn of others, while TLS has the last bytes already. */
  @ParameterizedTest
  @ValueSource(ints = {1_050_000, 1_056_768, 1_058_000, 1_060_000, 1_062_500, 1_064_960, 1_070_000})
  void write_longAndRefused_isAnsweredWithoutMoreFromTheClient(int length) throws Exception {
    device.readOnly();
    try (NbdServer server = start(true, false);
        Socket socket = connect(server);
        NbdTestClient client = upgrade(socket, null)) {
      client.go(8, "disk");
      socket.setSoTimeout(10_000);
      for (int i = 0; i < 5; i++) {
        client.write(0, i, 0, new byte[length]);

        assertThat(NbdTestClient.error(client.receiveReply(0))).isEqualTo(EPERM);
      }
    }
  }

  @Test
  void requests_manyPipelined_areAllAnswered() throws Exception {
    device.missesOn(Executors.newSingleThreadExecutor()).absent(0, SIZE / 2);
    try (NbdServer server = start(true, false);
        NbdTestClient client = upgrade(connect(server), null)) {
      client.go(0, "disk");
      Thread sender =
          new Thread(
              () -> {
                try {
                  for (int i = 0; i < 2000; i++) {
                    client.request(0, 0, i, i * 1000L, 4096);
                  }
                } catch (IOException e) {
                  throw new AssertionError(e);
                }
              });
      sender.start();
      for (int i = 0; i < 2000; i++) {
        NbdTestClient.Chunk reply = client.receiveChunk(4096);
        ServerFixture.assertSame(reply.data(), device.slice(reply.cookie() * 1000, 4096));
      }
    }
  }

  @Test
  void options_beforeForcedTls_areRefusedButAbort() throws IOException {
    try (NbdServer server = start(true, false)) {
      for (int option : new int[] {3, 6, 7, 8, 9, 10, 11, 99}) {
        try (NbdTestClient client = over(connect(server)).hello()) {
          assertThat(client.outcome(option, NONE)).isEqualTo(ERR_TLS_REQD);
          assertThat(client.outcome(2, NONE)).isEqualTo(1);
        }
      }
      try (NbdTestClient client = over(connect(server)).hello()) {
        client.sendOption(1, NbdTestClient.bytes("disk"));
        assertThat(client.isClosed()).isTrue();
      }
    }
  }

  @Test
  void tls_notForced_isTheClientsChoice() throws Exception {
    try (NbdServer server = start(false, false);
        NbdTestClient plain = over(connect(server)).hello().go(0, "disk");
        NbdTestClient secure = upgrade(connect(server), null)) {
      ServerFixture.assertSame(plain.read(0, 10), device.slice(0, 10));
      ServerFixture.assertSame(secure.go(0, "disk").read(0, 10), device.slice(0, 10));
    }
  }

  @Test
  void largeMiss_isReadIntoABuffer_asItIsEncipheredAnyway() throws Exception {
    device.absent(0, SIZE).fetches(MemoryDevice.Fetches.OFFERED);
    try (NbdServer server = start(true, false);
        NbdTestClient client = upgrade(connect(server), null)) {
      ServerFixture.assertSame(client.go(0, "disk").read(5, 300_000), device.slice(5, 300_000));
      assertThat(device.calls()).isEmpty();
    }
  }

  @Test
  void startTls_twiceOrWithData_isInvalid() throws Exception {
    try (NbdServer server = start(false, false)) {
      try (NbdTestClient client = over(connect(server)).hello()) {
        assertThat(client.outcome(5, new byte[1])).isEqualTo(ERR_INVALID);
      }
      try (NbdTestClient client = upgrade(connect(server), null)) {
        assertThat(client.outcome(5, NONE)).isEqualTo(ERR_INVALID);
      }
    }
  }

  @Test
  void startTls_forgetsWhatWasAgreedBefore() throws Exception {
    try (NbdServer server = start(false, false);
        Socket socket = connect(server)) {
      NbdTestClient plain = over(socket).hello();
      assertThat(plain.outcome(8, NONE)).isEqualTo(1);
      assertThat(plain.outcome(5, NONE)).isEqualTo(1);
      SSLContext context =
          PemFiles.context(null, null, keys.folder("server").resolve("ca-cert.pem"));
      SSLSocket secure =
          (SSLSocket) context.getSocketFactory().createSocket(socket, "localhost", 0, true);
      NbdTestClient client = over(secure);
      client.option(7, NbdTestClient.infoData("disk"));

      assertThat(client.error(0, 7, 0, 1)).isEqualTo(22);
      client.request(0, 0, 1, 0, 10);
      assertThat(client.receiveChunk(10).type()).isEqualTo(-1);
    }
  }

  @Test
  void startTls_plainBytesBehindIt_endTheConnection() throws IOException {
    try (NbdServer server = start(false, false);
        NbdTestClient client = over(connect(server)).hello()) {
      client.send(
          NbdTestClient.bytes(
              NbdTestClient.optionBytes(5, NONE), NbdTestClient.optionBytes(3, NONE)));

      assertThat(client.isClosed()).isTrue();
    }
  }

  @Test
  void clientCertificate_rightAuthorityAndName_isServed() throws Exception {
    try (NbdServer server = start(true, true, "alice.example");
        NbdTestClient client = upgrade(connect(server), "alice")) {
      ServerFixture.assertSame(client.go(0, "disk").read(0, 10), device.slice(0, 10));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "mallory"})
  void clientCertificate_missingOrOfAnotherAuthority_isRefused(String who) throws IOException {
    try (NbdServer server = start(true, true)) {
      assertThatThrownBy(
              () -> upgrade(connect(server), who.equals("none") ? null : who).go(0, "disk"))
          .isInstanceOf(IOException.class);
    }
  }

  @Test
  void clientCertificate_otherName_isRefused() throws IOException {
    try (NbdServer server = start(true, true, "bob.example")) {
      assertThatThrownBy(() -> upgrade(connect(server), "alice").go(0, "disk"))
          .isInstanceOf(IOException.class);
    }
  }

  @Test
  void handshake_garbage_endsTheConnection() throws IOException {
    try (NbdServer server = start(true, false);
        NbdTestClient client = over(connect(server)).hello()) {
      assertThat(client.outcome(5, NONE)).isEqualTo(1);
      client.send("this is no ClientHello, is it? ".repeat(10).getBytes());
      client.receive(1); // The alert begins.
      ServerFixture.await("it is closed", () -> server.connections() == 0);
    }
  }

  @Test
  void folder_withoutKey_isAClearError() {
    assertThatThrownBy(() -> NbdTls.ofFolder(folder, true, false, Set.of()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("server-key.pem");
  }
}
