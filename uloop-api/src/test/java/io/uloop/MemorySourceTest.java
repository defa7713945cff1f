/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The contract, held by the fixture that other tests rely on, and the fixture's own gate. */
class MemorySourceTest extends WritableBlockSourceContract {

  @Override
  protected Origin originOf(byte[] content) {
    return new Origin() {
      @Override
      public BlockSource open() {
        return new MemorySource(content).knowsHoles(true);
      }

      @Override
      public BlockSource openWritable() {
        return new MemorySource(content).writable(true);
      }
    };
  }

  @Test
  void hold_readsWait_untilEnoughIsAllowed() throws Exception {
    MemorySource source = new MemorySource(new byte[1000]);
    source.hold();

    CompletableFuture<Void> read = CompletableFuture.runAsync(() -> readUnchecked(source, 600));
    source.awaitHeld(1);
    source.allow(599);
    assertThat(read).isNotDone();
    source.allow(1);

    read.get(10, TimeUnit.SECONDS);
    assertThat(source.bytesDelivered()).isEqualTo(600);
    assertThat(source.timesRead(599)).isEqualTo(1);
    assertThat(source.timesRead(600)).isZero();
  }

  @Test
  void failNext_oneFailure_failsOneRead() throws Exception {
    MemorySource source = new MemorySource(new byte[1000]);
    SourceUnavailableException failure = new SourceUnavailableException("away");
    source.failNext(failure);

    assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(1))).isSameAs(failure);
    source.read(0, ByteBuffer.allocate(1));
  }

  private static void readUnchecked(BlockSource source, int length) {
    try {
      source.read(0, ByteBuffer.allocate(length));
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
