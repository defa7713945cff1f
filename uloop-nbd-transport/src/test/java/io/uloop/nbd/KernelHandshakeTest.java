/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The server's half is written out by hand here, byte by byte. */
@Timeout(20)
class KernelHandshakeTest {

  private UnixSocket client;
  private UnixSocket server;

  @BeforeEach
  void connect() throws IOException {
    UnixSocket[] pair = UnixSocket.pair(NativeCalls.load());
    client = pair[0];
    server = pair[1];
    client.timeouts(Duration.ofSeconds(10));
    server.timeouts(Duration.ofSeconds(10));
  }

  @AfterEach
  void disconnect() throws IOException {
    client.close();
    server.close();
  }

  @Test
  void go_serverGivesExport_tellsSizeFlagsAndBlocks() throws Exception {
    CompletableFuture<Void> half =
        serve(
            () -> {
              greet(3);
              assertThat(server.read(4).getInt()).as("client flags").isEqualTo(3);
              assertThat(option()).isEqualTo("disk");
              reply(3, info(3).putInt(512).putInt(4096).putInt(1 << 25));
              reply(3, info(1).put("disk".getBytes(java.nio.charset.StandardCharsets.UTF_8)));
              reply(3, info(0).putLong(10_486_537L).putShort((short) 0x103));
              reply(1, ByteBuffer.allocate(0));
            });

    KernelHandshake.Export export = KernelHandshake.go(client, "disk");

    half.get(10, TimeUnit.SECONDS);
    assertThat(export).isEqualTo(new KernelHandshake.Export(10_486_537L, 0x103, 512));
    assertThat(export.readOnly()).isTrue();
    assertThat(export.canMultiConn()).isTrue();
  }

  @Test
  void go_bytesBehindTheHandshake_areLeftForTheKernel() throws Exception {
    serve(
        () -> {
          greet(1);
          assertThat(server.read(4).getInt()).as("no NO_ZEROES").isEqualTo(1);
          option();
          reply(3, info(0).putLong(512).putShort((short) 1));
          reply(1, ByteBuffer.allocate(0));
          server.write(new byte[] {77});
        });

    KernelHandshake.go(client, "");

    assertThat(client.read(1).get()).isEqualTo((byte) 77);
  }

  @Test
  void go_unknownExport_saysWhatTheServerSays() throws Exception {
    serve(
        () -> {
          greet(3);
          server.read(4);
          option();
          reply((1 << 31) + 6, ByteBuffer.wrap(new byte[] {'n', 'o'}).position(2));
        });

    assertThatThrownBy(() -> KernelHandshake.go(client, "x"))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("refuses export 'x': error 6 no");
  }

  @Test
  void go_replyLongerThanAny_isRefusedUnread() throws Exception {
    serve(
        () -> {
          greet(3);
          server.read(4);
          option();
          server.write(
              ByteBuffer.allocate(20)
                  .putLong(KernelHandshake.REPLY_MAGIC)
                  .putInt(7)
                  .putInt(3)
                  .putInt(Integer.MAX_VALUE)
                  .array());
        });

    assertThatThrownBy(() -> KernelHandshake.go(client, ""))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("length=" + Integer.MAX_VALUE);
  }

  @Test
  void go_acceptedWithoutSize_isRefused() throws Exception {
    serve(
        () -> {
          greet(3);
          server.read(4);
          option();
          reply(1, ByteBuffer.allocate(0));
        });

    assertThatThrownBy(() -> KernelHandshake.go(client, ""))
        .hasMessageContaining("does not tell its size");
  }

  @Test
  void go_noNbdServer_isRefused() throws Exception {
    server.write(new byte[18]);

    assertThatThrownBy(() -> KernelHandshake.go(client, ""))
        .hasMessageContaining("no newstyle NBD server");
  }

  private interface Half {
    void run() throws IOException;
  }

  private static CompletableFuture<Void> serve(Half half) {
    return CompletableFuture.runAsync(
        () -> {
          try {
            half.run();
          } catch (IOException e) {
            throw new IllegalStateException(e);
          }
        });
  }

  private void greet(int flags) throws IOException {
    server.write(
        ByteBuffer.allocate(18)
            .putLong(KernelHandshake.NBDMAGIC)
            .putLong(KernelHandshake.IHAVEOPT)
            .putShort((short) flags)
            .array());
  }

  private String option() throws IOException {
    ByteBuffer head = server.read(16);
    assertThat(head.getLong()).isEqualTo(KernelHandshake.IHAVEOPT);
    assertThat(head.getInt()).isEqualTo(KernelHandshake.OPT_GO);
    ByteBuffer data = server.read(head.getInt());
    byte[] name = new byte[data.getInt()];
    data.get(name);
    assertThat(data.getShort()).as("one info asked for").isEqualTo((short) 1);
    assertThat(data.getShort()).isEqualTo((short) 3);
    return new String(name, java.nio.charset.StandardCharsets.UTF_8);
  }

  private static ByteBuffer info(int type) {
    return ByteBuffer.allocate(64).putShort((short) type);
  }

  private void reply(int type, ByteBuffer data) throws IOException {
    data.flip();
    byte[] bytes = new byte[data.remaining()];
    data.get(bytes);
    server.write(
        ByteBuffer.allocate(20 + bytes.length)
            .putLong(KernelHandshake.REPLY_MAGIC)
            .putInt(KernelHandshake.OPT_GO)
            .putInt(type)
            .putInt(bytes.length)
            .put(bytes)
            .array());
  }
}
