/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.uloop.TestSeed;
import java.io.IOException;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import jdk.net.ExtendedSocketOptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@org.junit.jupiter.api.Timeout(value = 60, threadMode = ThreadMode.SEPARATE_THREAD)
class ChannelSocketTest extends LoopbackServer {

  private static final int EXCHANGES = 10;
  // More than the buffers of both ends hold.
  private static final int MANY_BYTES = 16 << 20;

  @TempDir private Path directory;

  private ChannelSocket connected() throws IOException {
    ChannelSocket socket = ChannelSocket.tcp();
    socket.connect(server.getLocalSocketAddress(), 10_000);
    return socket;
  }

  @Test
  void anyMixOfReadsAndReceives_givesTheBytesInOrder() throws Exception {
    Random random = TestSeed.random("ChannelSocketTest");
    byte[] sent = new byte[1 << 20];
    random.nextBytes(sent);
    try (ChannelSocket socket = connected();
        Socket accepted = server.accept()) {
      long seed = random.nextLong();
      OtherThread sender =
          new OtherThread(
              () -> {
                Random sizes = new Random(seed);
                OutputStream out = accepted.getOutputStream();
                for (int at = 0; at < sent.length; ) {
                  int n = Math.min(sent.length - at, 1 + sizes.nextInt(50_000));
                  out.write(sent, at, n);
                  at += n;
                }
                accepted.shutdownOutput();
              });
      ByteBuffer came = ByteBuffer.allocate(sent.length + 1);
      ByteBuffer direct = ByteBuffer.allocateDirect(100_000);
      int n = 0;
      while (n >= 0) {
        if (random.nextBoolean()) {
          int start = random.nextInt(1000);
          direct.clear().position(start).limit(start + 1 + random.nextInt(90_000));
          n = socket.receive(direct);
          assertThat(direct.position()).isEqualTo(start + Math.max(0, n));
          came.put(direct.flip().position(start));
        } else {
          byte[] some = new byte[1 + random.nextInt(9000)];
          n = socket.getInputStream().read(some);
          came.put(some, 0, Math.max(0, n));
        }
      }
      assertThat(sender.end()).isNull();
      came.flip();
      byte[] all = new byte[came.remaining()];
      came.get(all);
      assertThat(all).isEqualTo(sent);
    }
  }

  @Test
  void unix_sendsAndReceives_andIgnoresWhatTcpHas() throws IOException {
    Path path = directory.resolve("s");
    try (ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        ChannelSocket socket = ChannelSocket.unix(path)) {
      listener.bind(UnixDomainSocketAddress.of(path));
      socket.setTcpNoDelay(true);
      socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, 5);
      socket.connect(new InetSocketAddress("203.0.113.1", 80), 10);
      try (SocketChannel accepted = listener.accept()) {
        socket.getOutputStream().write(new byte[] {9, 8, 7}, 1, 2);
        ByteBuffer came = ByteBuffer.allocate(2);
        while (came.hasRemaining()) {
          accepted.read(came);
        }
        assertThat(came.array()).containsExactly(8, 7);
        accepted.write(came.flip());
        assertThat(socket.getInputStream().readNBytes(2)).containsExactly(8, 7);
        assertThat(socket.isConnected()).isTrue();
        assertThat(socket).hasToString(path.toString());
      }
      assertThat(socket.getInputStream().read()).isEqualTo(-1);
    }
  }

  /** The JDK keeps a direct buffer for a thread as large as what it copied. */
  @Test
  void receive_intoTheHeap_takesNoMoreThanTheJdksSocketsDo() throws Exception {
    try (ChannelSocket socket = connected();
        Socket accepted = server.accept()) {
      OtherThread sender =
          new OtherThread(() -> accepted.getOutputStream().write(new byte[MANY_BYTES]));
      ByteBuffer heap = ByteBuffer.allocate(MANY_BYTES);
      while (heap.hasRemaining()) {
        assertThat(socket.receive(heap)).isBetween(1, 128 * 1024);
        assertThat(heap.limit()).isEqualTo(MANY_BYTES);
      }
      assertThat(sender.end()).isNull();
    }
  }

  @Test
  void receive_nothingInTime_throwsAndGoesOn() throws IOException {
    try (ChannelSocket socket = connected();
        Socket accepted = server.accept()) {
      ByteBuffer into = ByteBuffer.allocateDirect(10);
      socket.setSoTimeout(5);
      for (int i = 0; i < 3; i++) {
        assertThatThrownBy(() -> socket.receive(into))
            .isInstanceOf(SocketTimeoutException.class)
            .hasMessage("read timed out");
      }
      accepted.getOutputStream().write(7);
      socket.setSoTimeout(10_000);
      assertThat(socket.receive(into)).isEqualTo(1);
      assertThat(into.flip().get()).isEqualTo((byte) 7);
    }
  }

  @Test
  void interrupt_beforeOrDuringAWait_endsNothingAndIsKept() throws Exception {
    try (ChannelSocket socket = connected();
        Socket accepted = server.accept()) {
      for (boolean before : new boolean[] {true, false}) {
        OtherThread reader =
            new OtherThread(
                () -> {
                  if (before) {
                    Thread.currentThread().interrupt();
                  }
                  assertThat(socket.receive(ByteBuffer.allocateDirect(10))).isEqualTo(1);
                  assertThat(Thread.interrupted()).isTrue();
                });
        reader.awaitWaiting();
        if (!before) {
          reader.thread().interrupt();
          while (reader.thread().isInterrupted()) {
            Thread.onSpinWait(); // until the wait has taken it
          }
        }
        assertThat(reader.thread().isAlive()).isTrue();
        accepted.getOutputStream().write(7);
        assertThat(reader.end()).isNull();
      }
    }
  }

  @Test
  void interrupt_withATimeout_doesNotMakeTheWaitShorter() throws IOException {
    try (ChannelSocket socket = connected();
        Socket accepted = server.accept()) {
      socket.setSoTimeout(30);
      Thread.currentThread().interrupt();
      long start = System.nanoTime();
      assertThatThrownBy(() -> socket.receive(ByteBuffer.allocate(1)))
          .isInstanceOf(SocketTimeoutException.class);
      assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(30_000_000);
      assertThat(Thread.interrupted()).isTrue();
      assertThat(accepted.isConnected()).isTrue();
    }
  }

  @Test
  void close_wakesWhoReadsAndWhoWrites() throws Exception {
    List<OtherThread.Action> waits = new ArrayList<>();
    try (ChannelSocket reading = connected();
        Socket first = server.accept();
        ChannelSocket writing = connected();
        Socket second = server.accept()) {
      waits.add(() -> reading.receive(ByteBuffer.allocateDirect(1)));
      waits.add(() -> writing.getOutputStream().write(new byte[MANY_BYTES]));
      for (int i = 0; i < waits.size(); i++) {
        OtherThread other = new OtherThread(waits.get(i));
        other.awaitWaiting();
        (i == 0 ? reading : writing).close();
        assertThat(other.end()).isInstanceOf(SocketException.class).hasMessage("Socket closed");
      }
      assertThat(reading.isClosed()).isTrue();
      assertThatThrownBy(() -> reading.receive(ByteBuffer.allocate(1)))
          .isInstanceOf(SocketException.class)
          .hasMessage("Socket closed");
      assertThatThrownBy(() -> reading.getOutputStream().write(1))
          .isInstanceOf(SocketException.class)
          .hasMessage("Socket closed");
      assertThat(first.getInputStream().read()).isEqualTo(-1);
      assertThat(second.isConnected()).isTrue();
    }
  }

  @Test
  void write_whatTheOtherEndIsSlowToRead_waitsForIt() throws Exception {
    byte[] sent = new byte[MANY_BYTES];
    TestSeed.random("ChannelSocketTest.write").nextBytes(sent);
    try (ChannelSocket socket = connected();
        Socket accepted = server.accept()) {
      socket.setSoTimeout(1); // of reads
      OtherThread writer =
          new OtherThread(
              () -> {
                socket.getOutputStream().write(sent);
                socket.shutdownOutput();
              });
      writer.awaitWaiting();
      assertThat(accepted.getInputStream().readAllBytes()).isEqualTo(sent);
      assertThat(writer.end()).isNull();

      socket.setSoTimeout(5);
      assertThatThrownBy(() -> socket.receive(ByteBuffer.allocate(1)))
          .isInstanceOf(SocketTimeoutException.class);
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX) // elsewhere a full backlog refuses
  void connect_backlogIsFull_timesOutOrIsWokenByClose() throws Exception {
    List<Socket> others = new ArrayList<>();
    try {
      for (int i = 0; i < 2; i++) {
        Socket other = new Socket();
        others.add(other);
        other.connect(server.getLocalSocketAddress());
      }
      try (ChannelSocket socket = ChannelSocket.tcp()) {
        assertThatThrownBy(() -> socket.connect(server.getLocalSocketAddress(), 20))
            .isInstanceOf(SocketTimeoutException.class)
            .hasMessage("connect timed out");
        assertThat(socket.isClosed()).isTrue();
      }
      try (ChannelSocket socket = ChannelSocket.tcp()) {
        OtherThread other = new OtherThread(() -> socket.connect(server.getLocalSocketAddress()));
        other.awaitWaiting();
        socket.close();
        assertThat(other.end()).isInstanceOf(SocketException.class).hasMessage("Socket closed");
      }
    } finally {
      for (Socket other : others) {
        other.close();
      }
    }
  }

  @Test
  void connect_whereNobodyIs_saysSo() throws IOException {
    int port = server.getLocalPort();
    server.close();
    try (ChannelSocket refused = ChannelSocket.tcp();
        ChannelSocket unknown = ChannelSocket.tcp();
        ChannelSocket unix = ChannelSocket.unix(directory.resolve("none"))) {
      assertThatThrownBy(
              () ->
                  refused.connect(
                      new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 10_000))
          .isInstanceOf(ConnectException.class);
      assertThatThrownBy(
              () -> unknown.connect(InetSocketAddress.createUnresolved("no.example", 1), 10))
          .isInstanceOf(UnknownHostException.class)
          .hasMessage("no.example");
      assertThatThrownBy(() -> unix.connect(server.getLocalSocketAddress(), 10))
          .isInstanceOf(IOException.class);
      for (ChannelSocket socket : List.of(refused, unknown, unix)) {
        assertThat(socket.isClosed()).isTrue();
      }
    }
  }

  @Test
  void options_reachTheChannel() throws IOException {
    try (ChannelSocket socket = ChannelSocket.tcp()) {
      socket.setTcpNoDelay(true);
      socket.setKeepAlive(true);
      socket.setSoLinger(true, 0);
      assertThat(socket.getOption(StandardSocketOptions.TCP_NODELAY)).isTrue();
      assertThat(socket.getOption(StandardSocketOptions.SO_KEEPALIVE)).isTrue();
      assertThat(socket.getOption(StandardSocketOptions.SO_LINGER)).isZero();
    }
  }

  /** Whether acknowledgements are prompt after some requests and answers. */
  private boolean prompt(Socket client) throws IOException {
    client.connect(server.getLocalSocketAddress());
    try (Socket accepted = server.accept()) {
      for (int i = 0; i < EXCHANGES; i++) {
        client.getOutputStream().write(new byte[] {1, 2, 3, 4}, 1, 2);
        assertThat(accepted.getInputStream().readNBytes(2)).containsExactly(2, 3);
        accepted.getOutputStream().write(new byte[100]);
        assertThat(client.getInputStream().readNBytes(100)).hasSize(100);
      }
      client.getOutputStream().write(new byte[1]);
      return client.getOption(ExtendedSocketOptions.TCP_QUICKACK);
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void requestsAndAnswers_doNotMakeAcknowledgementsWait() throws IOException {
    try (Socket usual = new Socket();
        Socket socket = ChannelSocket.tcp()) {
      assertThat(prompt(socket)).isTrue();
      assumeFalse(prompt(usual), "this kernel is prompt anyway");
    }
  }
}
