/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.UnpooledByteBufAllocator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.util.Set;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** TLS without sockets: the client's engine on the other end of a wire that the test feeds. */
@Timeout(20)
class TlsLinkTest {

  @TempDir static Path folder;

  private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

  /** The client's end; {@code endless} asks for new keys whenever it is read. */
  private static final class ClientWire implements Link {
    private final SSLEngine engine;
    private final ByteBuffer toServer = ByteBuffer.allocate(1 << 17);
    private final ByteBuffer toClient = ByteBuffer.allocate(1 << 17);
    private boolean endless;
    private int reads;

    ClientWire(SSLEngine engine) {
      this.engine = engine;
      engine.setUseClientMode(true);
    }

    /** Lets the client's engine say and hear what it can. */
    void turn() throws IOException {
      ByteBuffer sink = ByteBuffer.allocate(1 << 16);
      for (int quiet = 0; quiet < 3; ) {
        HandshakeStatus status = engine.getHandshakeStatus();
        int before = toServer.position() + toClient.position();
        if (status == HandshakeStatus.NEED_TASK) {
          engine.getDelegatedTask().run();
          continue;
        } else if (status == HandshakeStatus.NEED_WRAP) {
          engine.wrap(NOTHING, toServer);
        } else {
          toClient.flip();
          engine.unwrap(toClient, sink.clear());
          toClient.compact();
        }
        quiet = before == toServer.position() + toClient.position() ? quiet + 1 : 0;
      }
    }

    @Override
    public int read(ByteBuffer dst) throws IOException {
      reads++;
      for (int i = 0; endless && i < 50; i++) {
        engine.beginHandshake(); // In TLS 1.3: new keys, please.
        engine.wrap(NOTHING, dst);
      }
      if (!endless) {
        toServer.flip();
        int count = Math.min(dst.remaining(), toServer.remaining());
        dst.put(toServer.slice(toServer.position(), count));
        toServer.position(toServer.position() + count);
        toServer.compact();
        return count;
      }
      return 1;
    }

    @Override
    public void write(ByteBuffer[] srcs, int count) {
      for (int i = 0; i < count; i++) {
        if (endless) {
          srcs[i].position(srcs[i].limit());
        } else {
          toClient.put(srcs[i]);
        }
      }
    }

    @Override
    public boolean flush() {
      return true;
    }

    @Override
    public WritableByteChannel direct() {
      throw new UnsupportedOperationException("TLS has no way around itself");
    }

    @Override
    public void endOutput() {}
  }

  @Test
  void read_recordsWithoutDataAndEnd_returnsSoThatOthersHaveTheirTurn() throws Exception {
    TestKeys keys = TestKeys.copyTo(folder);
    NbdTls tls = NbdTls.ofFolder(keys.folder("server"), true, false, Set.of());
    EventLoop loop = new EventLoop(UnpooledByteBufAllocator.DEFAULT);
    ClientWire wire =
        new ClientWire(
            PemFiles.context(null, null, keys.folder("server").resolve("ca-cert.pem"))
                .createSSLEngine("localhost", 0));
    TlsLink link = new TlsLink(wire, loop, tls, Runnable::run, () -> {});
    ByteBuffer dst = ByteBuffer.allocate(EventLoop.INPUT_BYTES);
    for (int i = 0; i < 8; i++) {
      wire.turn();
      assertThat(link.read(dst)).isZero();
      loop.runTasks();
    }
    assertThat(wire.engine.getHandshakeStatus()).isEqualTo(HandshakeStatus.NOT_HANDSHAKING);

    wire.endless = true;
    wire.reads = 0;
    assertThat(link.read(dst)).isZero();
    assertThat(wire.reads).isPositive().isLessThan(20);

    // What comes in the end is read all the same.
    wire.endless = false;
    wire.engine.wrap(ByteBuffer.wrap(new byte[] {1, 2, 3}), wire.toServer);
    assertThat(link.read(dst)).isEqualTo(3);
    link.release();
    loop.discard();
  }
}
