/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.DeviceTransport;
import io.uloop.DeviceTransports;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(20)
class ListenerTest {

  @TempDir Path folder;
  private final MemoryDevice device = new MemoryDevice(100_000);

  private DeviceTransport.Attachment attach(String place, String... properties) throws IOException {
    Map<String, String> map = new java.util.HashMap<>();
    for (int i = 0; i < properties.length; i += 2) {
      map.put(properties[i], properties[i + 1]);
    }
    return DeviceTransports.attach(device, place, map);
  }

  private void assertServes(Path socket) throws IOException {
    try (NbdTestClient client = NbdTestClient.connect(socket.toString())) {
      assertThat(client.hello().go(0, "").read(0, 100)).isEqualTo(device.slice(0, 100));
    }
  }

  @Test
  void unix_socket_isForItsOwnerOnlyAndGoneAfterwards() throws IOException {
    Path socket = folder.resolve("s");
    try (DeviceTransport.Attachment attached = attach("unix:" + socket)) {
      assertThat(attached.place()).isEqualTo("unix:" + socket);
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
          .isEqualTo("rw-------");
      assertThat(folder).isDirectoryContaining(file -> file.equals(socket));
      assertServes(socket);
    }
    assertThat(folder).isEmptyDirectory();
  }

  @ParameterizedTest
  @ValueSource(strings = {"660", "0660", "rw-rw----"})
  void unix_mode_isApplied(String mode) throws IOException {
    Path socket = folder.resolve("s");
    try (DeviceTransport.Attachment attached = attach("unix:" + socket, "mode", mode)) {
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
          .isEqualTo("rw-rw----");
      assertThat(attached).isNotNull();
    }
  }

  @Test
  void unix_staleSocket_isReplaced() throws IOException {
    Path socket = folder.resolve("s");
    ServerSocketChannel killed = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    killed.bind(UnixDomainSocketAddress.of(socket));
    killed.close();
    assertThat(socket).exists();

    try (DeviceTransport.Attachment attached = attach("unix:" + socket)) {
      assertThat(attached).isNotNull();
      assertServes(socket);
    }
  }

  @Test
  void unix_liveSocket_isRefusedToAnInterruptedThread() throws IOException {
    Path socket = folder.resolve("s");
    try (DeviceTransport.Attachment first = attach("unix:" + socket)) {
      assertThat(first).isNotNull();
      Thread.currentThread().interrupt();
      try {
        assertThatThrownBy(() -> attach("unix:" + socket).close())
            .isInstanceOf(BindException.class)
            .hasMessageContaining("a server is listening there");
      } finally {
        assertThat(Thread.interrupted()).isTrue();
      }
      assertServes(socket);
    }
  }

  @Test
  void unix_liveSocket_isRefused() throws IOException {
    Path socket = folder.resolve("s");
    try (DeviceTransport.Attachment first = attach("unix:" + socket)) {
      assertThatThrownBy(() -> attach("unix:" + socket))
          .isInstanceOf(BindException.class)
          .hasMessageContaining("a server is listening there")
          .hasMessageContaining(socket.toString());
      assertThat(first).isNotNull();
      assertServes(socket);
    }
  }

  /** Each either serves or is told that somebody else does. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void unix_manyAtOnce_atMostOneServes(boolean stale) throws Exception {
    int rivals = 8;
    ExecutorService pool = Executors.newFixedThreadPool(rivals);
    try {
      for (int round = 0; round < 60; round++) {
        Path socket = folder.resolve("s" + round);
        if (stale) {
          ServerSocketChannel killed = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
          killed.bind(UnixDomainSocketAddress.of(socket));
          killed.close();
        }
        CyclicBarrier start = new CyclicBarrier(rivals);
        List<Future<DeviceTransport.Attachment>> all = new ArrayList<>();
        for (int i = 0; i < rivals; i++) {
          all.add(
              pool.submit(
                  () -> {
                    start.await();
                    return attach("unix:" + socket);
                  }));
        }
        List<DeviceTransport.Attachment> serving = new ArrayList<>();
        for (Future<DeviceTransport.Attachment> one : all) {
          try {
            serving.add(one.get());
          } catch (ExecutionException e) {
            assertThat(e.getCause())
                .isInstanceOf(BindException.class)
                .hasMessageContaining("a server is listening there");
          }
        }
        int winners = serving.size();
        assertServes(socket);
        for (DeviceTransport.Attachment one : serving) {
          one.close();
        }
        assertThat(winners).as("round " + round).isEqualTo(1);
        assertThat(folder).isEmptyDirectory();
      }
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  void unix_serverThatTakesNobodyAndWhoseQueueIsFull_isRefused() throws IOException {
    UnixDomainSocketAddress address = UnixDomainSocketAddress.of(folder.resolve("s"));
    List<SocketChannel> queue = new ArrayList<>();
    try (ServerSocketChannel stopped = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      stopped.bind(address, 1);
      assertThatThrownBy(
              () -> {
                while (true) {
                  SocketChannel client = SocketChannel.open(StandardProtocolFamily.UNIX);
                  queue.add(client);
                  client.configureBlocking(false);
                  client.connect(address);
                }
              })
          .isInstanceOf(SocketException.class);

      assertThatThrownBy(() -> attach("unix:" + address))
          .isInstanceOf(BindException.class)
          .hasMessageContaining("a server may be listening there");
    } finally {
      for (SocketChannel client : queue) {
        client.close();
      }
    }
  }

  @Test
  void unix_otherFile_isRefusedAndKept() throws IOException {
    Path file = Files.writeString(folder.resolve("s"), "precious");

    assertThatThrownBy(() -> attach("unix:" + file))
        .isInstanceOf(BindException.class)
        .hasMessageContaining("no socket");
    assertThat(file).hasContent("precious");
  }

  @Test
  void unix_missingFolder_isAClearError() {
    assertThatThrownBy(() -> attach("unix:" + folder.resolve("no/s")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("no");
  }

  @Test
  void unix_replacedByAnother_isNotRemovedAtClose() throws IOException {
    Path socket = folder.resolve("s");
    DeviceTransport.Attachment attached = attach("unix:" + socket);
    Files.delete(socket);
    Files.writeString(socket, "not ours");
    attached.close();

    assertThat(socket).hasContent("not ours");
  }

  @Test
  void unix_pathOfEveryLengthThatFits_isServedAndFoundLive() throws IOException {
    // The JDK itself takes 106 bytes, and the socket is born in a folder with a longer path.
    for (int length : new int[] {90, 100, 105, 106, 107}) {
      Path deep = folder.resolve("d".repeat(length - folder.toString().length() - 4));
      Files.createDirectories(deep);
      Path socket = deep.resolve("s" + "x".repeat(length - deep.toString().length() - 2));
      assertThat(socket.toString()).hasSize(length);
      try (DeviceTransport.Attachment attached = attach("unix:" + socket)) {
        assertThat(attached).isNotNull();
        assertThatThrownBy(() -> attach("unix:" + socket))
            .hasMessageContaining("a server is listening there");
        Path link = Files.createSymbolicLink(folder.resolve("l" + length), deep);
        assertServes(link.resolve(socket.getFileName()));
      }
      assertThat(deep).isEmptyDirectory();
    }
  }

  @Test
  void unix_pathTooLong_isAClearError() {
    String path = folder + "/" + "x".repeat(108 - folder.toString().length() - 1);

    assertThatThrownBy(() -> attach("unix:" + path))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at most 107 bytes, this one 108");
  }

  @Test
  void unix_abstract_isServedRefusedASecondTimeAndFreeAfterwards() throws IOException {
    String name = "uloop-test-" + folder.getFileName();
    for (int i = 0; i < 2; i++) {
      try (DeviceTransport.Attachment attached = attach("unix:@" + name)) {
        assertThat(attached.place()).isEqualTo("unix:@" + name);
        assertThat(Path.of("@" + name)).doesNotExist();
        NativeCalls calls = NativeCalls.load();
        try (UnixSocket client = UnixSocket.connect(calls, "@" + name, Duration.ofSeconds(10))) {
          assertThat(client.read(18).getLong()).isEqualTo(0x4e42444d41474943L);
        }
        assertThatThrownBy(() -> attach("unix:@" + name))
            .isInstanceOf(BindException.class)
            .hasMessageContaining("a server is listening there: name=@" + name);
      }
    }
  }

  @Test
  void tcp_anyPort_isServedOnLoopback() throws IOException {
    try (DeviceTransport.Attachment attached = attach("tcp:localhost:0", "export", "x")) {
      assertThat(attached.place()).matches("tcp:127\\.0\\.0\\.1:[1-9][0-9]+");
      int port = Integer.parseInt(attached.place().replaceAll(".*:", ""));
      try (NbdTestClient client =
          new NbdTestClient(
              SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), port)))) {
        assertThat(client.hello().go(8, "x").read(0, 100_000)).isEqualTo(device.slice(0, 100_000));
      }
    }
  }

  @Test
  void tcp_beyondLoopback_isRefusedUnlessAllowed() throws IOException {
    assertThatThrownBy(() -> attach("tcp:0.0.0.0:0"))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("beyond loopback");
    attach("tcp:0.0.0.0:0", "allow-remote", "true").close();
  }

  @ParameterizedTest
  @CsvSource({
    "tcp:localhost:1, 1",
    "tcp::5, 5",
    "tcp:[::1]:7, 7",
    "tcp:[::1], 10809",
    "tcp:127.0.0.1, 10809",
  })
  void tcp_forms_areUnderstood(String place, int port) throws IOException {
    InetSocketAddress address = (InetSocketAddress) ListenPlace.address(place);

    assertThat(address.getPort()).isEqualTo(port);
    assertThat(address.getAddress().isLoopbackAddress()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"tcp:localhost:x", "tcp:localhost:-1", "tcp:localhost:70000", "udp:x"})
  void place_malformed_isAnIllegalArgument(String place) {
    assertThatThrownBy(() -> NbdServerConfig.builder().listen(place))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(place);
  }

  @Test
  void property_unknownOrSenseless_isAnIllegalArgument() {
    String place = "unix:" + folder.resolve("s");
    for (String[] bad :
        new String[][] {
          {"colour", "red"}, {"listing", "perhaps"}, {"tls", "on"}, {"mode", "999"}
        }) {
      assertThatThrownBy(() -> attach(place, bad)).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void start_secondPlaceFails_leavesNothingOfTheFirst() {
    Path socket = folder.resolve("s");

    assertThatThrownBy(
            () ->
                NbdServer.start(
                    NbdServerConfig.builder()
                        .listen("unix:" + socket)
                        .listen("tcp:203.0.113.1:1")
                        .export(new NbdExport("", device))
                        .build()))
        .isInstanceOf(IOException.class);
    assertThat(socket).doesNotExist();
  }
}
