/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(20)
class UnixSocketTest {

  private static final Duration TIMEOUT = Duration.ofSeconds(5);

  @TempDir Path directory;

  @Test
  void address_path_hasFamilyPathAndEndMark() {
    byte[] address = UnixSocketAddress.of("/a/b");

    assertThat(address).hasSize(2 + 4 + 1).endsWith('/', 'b', 0);
    assertThat(ByteBuffer.wrap(address).order(ByteOrder.nativeOrder()).getShort())
        .isEqualTo((short) 1);
  }

  @Test
  void address_abstractName_beginsWithZeroAndHasNoEndMark() {
    assertThat(UnixSocketAddress.of("@ab")).hasSize(2 + 3).endsWith(0, 'a', 'b');
  }

  @Test
  void address_107Bytes_hasEndMark_108BytesHasNone() {
    assertThat(UnixSocketAddress.of("x".repeat(107))).hasSize(110).endsWith(0);
    assertThat(UnixSocketAddress.of("x".repeat(108))).hasSize(110).endsWith('x');
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 109, 200})
  void address_lengthThatDoesNotFit_isRefused(int length) {
    assertThatThrownBy(() -> UnixSocketAddress.of("x".repeat(length)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("1 to 108 bytes, this one " + length);
  }

  @Test
  void connect_pathOf108Bytes_reachesTheServer() throws Exception {
    NativeCalls calls = NativeCalls.load();
    String path = pathOf(108);
    byte[] address = UnixSocketAddress.of(path);
    try (NativeFd server = calls.socket(UnixSocketAddress.AF_UNIX, UnixSocket.SOCK_DGRAM, 0)) {
      calls.bind(server, address);
      try (NativeFd client = calls.socket(UnixSocketAddress.AF_UNIX, UnixSocket.SOCK_DGRAM, 0)) {
        calls.sendto(client, new byte[] {42}, 0, address, path);
      }
      byte[] got = new byte[1];
      assertThat(calls.recv(server, got, 0)).isOne();
      assertThat(got[0]).isEqualTo((byte) 42);
    }
  }

  @Test
  void connect_nobodyListens_throwsAndLeavesNoDescriptor() throws Exception {
    NativeCalls calls = NativeCalls.load();
    Set<String> before = sockets();

    for (int i = 0; i < 20; i++) {
      assertThatThrownBy(
              () -> UnixSocket.connect(calls, directory.resolve("none").toString(), TIMEOUT))
          .isInstanceOfSatisfying(
              NativeException.class, e -> assertThat(e.errno()).isEqualTo(NativeException.ENOENT))
          .hasMessageContaining("none");
    }

    // Sockets that another test left to the collector may go meanwhile.
    assertThat(before).containsAll(sockets());
  }

  @Test
  void read_streamEndsBefore_saysHowFarItCame() throws Exception {
    UnixSocket[] pair = UnixSocket.pair(NativeCalls.load());
    pair[0].write(new byte[] {1, 2, 3});
    pair[0].close();

    assertThatThrownBy(() -> pair[1].read(5))
        .isInstanceOf(EOFException.class)
        .hasMessageContaining("after 3 of 5 bytes");
    pair[1].close();
  }

  @Test
  void read_nothingComes_failsAfterTheTimeout() throws Exception {
    UnixSocket[] pair = UnixSocket.pair(NativeCalls.load());
    pair[1].timeouts(Duration.ofMillis(50));

    assertThatThrownBy(() -> pair[1].read(1))
        .isInstanceOfSatisfying(
            NativeException.class, e -> assertThat(e.errno()).isEqualTo(NativeException.EAGAIN));
    pair[0].close();
    pair[1].close();
  }

  @Test
  void sendTimeout_setAndCleared_isReadBack() throws Exception {
    UnixSocket[] pair = UnixSocket.pair(NativeCalls.load());

    assertThat(pair[0].sendTimeout()).isZero();
    pair[0].timeouts(Duration.ofSeconds(40));
    assertThat(pair[0].sendTimeout()).hasSeconds(40);
    pair[0].timeouts(Duration.ZERO);
    assertThat(pair[0].sendTimeout()).isZero();
    pair[0].close();
    pair[1].close();
  }

  @Test
  void isCut_otherSideCloses_becomesTrue() throws Exception {
    UnixSocket[] pair = UnixSocket.pair(NativeCalls.load());

    assertThat(pair[0].isCut()).isFalse();
    pair[1].close();
    assertThat(pair[0].isCut()).isTrue();
    pair[0].close();
    pair[0].close();
    assertThatThrownBy(pair[0]::number).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void connect_serverOfTheJdk_exchangesBytes() throws Exception {
    Path path = directory.resolve("s");
    try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      server.bind(UnixDomainSocketAddress.of(path));
      try (UnixSocket client = UnixSocket.connect(NativeCalls.load(), path.toString(), TIMEOUT);
          var peer = server.accept()) {
        assertThat(client).as("in messages").hasToString("unix:" + path);
        client.write(new byte[] {9, 8, 7});
        ByteBuffer got = ByteBuffer.allocate(3);
        while (got.hasRemaining()) {
          peer.read(got);
        }
        assertThat(got.array()).containsExactly(9, 8, 7);
      }
    }
  }

  private String pathOf(int length) {
    String base = directory + "/";
    return base + "y".repeat(length - base.length());
  }

  private static Set<String> sockets() throws IOException {
    Set<String> sockets = new HashSet<>();
    try (DirectoryStream<Path> fds = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path fd : fds) {
        String target = Files.isSymbolicLink(fd) ? Files.readSymbolicLink(fd).toString() : "";
        if (target.startsWith("socket:")) {
          sockets.add(target);
        }
      }
    }
    return sockets;
  }
}
