/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.UnpooledByteBufAllocator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import org.junit.jupiter.api.Test;

/** A client that asks for lists and does not read them, without sockets. */
class HandshakeBackPressureTest {

  private static final int EXPORTS = 250;
  private static final int LISTS = 100;

  /** Gives all the input there is; takes nothing until it is open. */
  private static final class StuckLink implements Link {
    private final ByteBuffer input;
    private long taken;
    private boolean open;

    StuckLink(byte[] input) {
      this.input = ByteBuffer.wrap(input);
    }

    @Override
    public int read(ByteBuffer dst) {
      int count = Math.min(dst.remaining(), input.remaining());
      dst.put(input.slice(input.position(), count));
      input.position(input.position() + count);
      return count;
    }

    @Override
    public void write(ByteBuffer[] srcs, int count) {
      for (int i = 0; open && i < count; i++) {
        taken += srcs[i].remaining();
        srcs[i].position(srcs[i].limit());
      }
    }

    @Override
    public boolean flush() {
      return true;
    }

    @Override
    public WritableByteChannel direct() {
      throw new UnsupportedOperationException("nothing is transferred");
    }

    @Override
    public void endOutput() {}
  }

  @Test
  void lists_askedByAClientThatDoesNotRead_areMadeOneAtATime() throws IOException {
    NbdServerConfig.Builder config = NbdServerConfig.builder().listen("unix:unused");
    for (int i = 0; i < EXPORTS; i++) {
      config.export(new NbdExport("e" + i, new MemoryDevice(1), "x".repeat(4000)));
    }
    ByteArrayOutputStream input = new ByteArrayOutputStream();
    input.writeBytes(NbdTestClient.bytes(3));
    for (int i = 0; i < LISTS; i++) {
      input.writeBytes(NbdTestClient.optionBytes(3, new byte[0]));
    }
    UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(true);
    EventLoop loop = new EventLoop(allocator);
    StuckLink link = new StuckLink(input.toByteArray());
    ServerState state = new ServerState(config.build(), new MemoryBudget(1 << 20), Runnable::run);
    Connection connection = new Connection(loop, state, null, link, () -> {});

    connection.start(null);
    link.open = true;
    connection.flush(false); // The greeting goes out, and nothing after it.
    link.open = false;
    connection.pump();
    assertThat(allocator.metric().usedDirectMemory()).isLessThan(2 * EXPORTS * 5000);

    link.open = true;
    for (int i = 0; i < 10 * LISTS; i++) {
      connection.pump();
      loop.runTasks();
    }
    assertThat(link.taken).isGreaterThan((long) LISTS * EXPORTS * 4000);
    connection.close();
    loop.discard();
    assertThat(allocator.metric().usedDirectMemory()).isZero();
  }
}
