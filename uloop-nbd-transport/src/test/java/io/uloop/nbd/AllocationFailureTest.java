/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.AbstractByteBufAllocator;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.UnpooledByteBufAllocator;
import java.io.IOException;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * A server whose memory is gone, as many clients that do not read can bring about: it may cost
 * clients their connections, but nothing stays held and the loop lives on.
 */
@Timeout(60)
class AllocationFailureTest {

  /** Fails once: the allocation of a given number. */
  private static final class FailingAllocator extends AbstractByteBufAllocator {
    private final UnpooledByteBufAllocator inner = new UnpooledByteBufAllocator(true);
    private int countdown;
    private boolean failed;

    FailingAllocator(int countdown) {
      super(true);
      this.countdown = countdown;
    }

    @Override
    protected ByteBuf newHeapBuffer(int capacity, int limit) {
      throw new UnsupportedOperationException("the server uses no heap buffers");
    }

    @Override
    protected ByteBuf newDirectBuffer(int capacity, int limit) {
      if (--countdown == 0) {
        failed = true;
        throw new OutOfMemoryError("made by a test");
      }
      return inner.directBuffer(capacity, limit);
    }

    @Override
    public boolean isDirectBufferPooled() {
      return false;
    }
  }

  @Test
  void session_eachAllocationFailingOnce_holdsNothingAfterwards() throws IOException {
    int failures = 0;
    for (long seed = 1; seed <= 40; seed++) {
      byte[] input = FuzzTest.session(new Random(seed));
      boolean failed = true;
      for (int n = 1; failed; n++) {
        FailingAllocator allocator = new FailingAllocator(n);
        try (FuzzTarget target = new FuzzTarget(allocator)) {
          target.drive(input, seed);
        } catch (Throwable e) {
          throw new AssertionError("seed=" + seed + " failing=" + n, e);
        }
        assertThat(allocator.inner.metric().usedDirectMemory())
            .as("bytes not released: seed=%d failing=%d", seed, n)
            .isZero();
        failed = allocator.failed;
        failures += failed ? 1 : 0;
      }
    }
    assertThat(failures).isGreaterThan(100);
  }

  @Test
  void loop_taskThatFails_runsTheNextOnes() throws Exception {
    EventLoop loop = new EventLoop(UnpooledByteBufAllocator.DEFAULT);
    Thread thread = new Thread(loop, "loop");
    thread.start();
    for (int i = 0; i < 2; i++) {
      loop.execute(
          () -> {
            throw new OutOfMemoryError("made by a test");
          });
      CompletableFuture<Thread> ranOn = new CompletableFuture<>();
      loop.execute(() -> ranOn.complete(Thread.currentThread()));
      // A loop that has died would leave it to the caller.
      assertThat(ranOn.get(10, TimeUnit.SECONDS)).isSameAs(thread);
    }
    loop.execute(loop::stop);
    thread.join();
  }
}
