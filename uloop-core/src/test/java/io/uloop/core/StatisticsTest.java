/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Figures of an image that ends within a block, and of a device that is closed. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class StatisticsTest {

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private CachedDevice.Builder builder(int size) throws IOException {
    byte[] image = new byte[size];
    image[size - 1] = 1;
    return CachedDevice.builder(new MemorySource(image))
        .pair(new CachePair(dir.resolve("c"), dir.resolve("b")))
        .readAheadMaxBytes(0);
  }

  @Test
  void lastBlock_countsWhatThereIsOfIt() throws Exception {
    int block = 1 << 20;
    try (CachedDevice device = builder(block + 1).blockSizeBytes(block).fetchBytes(block).open()) {
      device.read(block, ByteBuffer.allocate(1));
      assertThat(device.statistics().presentBytes()).isEqualTo(1);

      device.read(0, ByteBuffer.allocate(1));
      assertThat(device.statistics().presentBytes()).isEqualTo(block + 1);
    }
  }

  @Test
  void readAhead_countsWhatThereIsOfTheLastBlock() throws Exception {
    try (CachedDevice device = builder(5000).open()) {
      device.read(0, ByteBuffer.allocate(4096));
      while (device.statistics().readAheadBytes() == 0) {
        Thread.onSpinWait(); // the reader is told first
      }
      device.read(4096, ByteBuffer.allocate(904));

      assertThat(device.statistics().readAheadBytes()).isEqualTo(904);
      assertThat(device.statistics().readAheadUsedBytes()).isEqualTo(904);
    }
  }

  @Test
  void closedDevice_hasNothingPresent() throws Exception {
    CachedDevice device = builder(5000).open();
    device.read(0, ByteBuffer.allocate(5000));
    assertThat(device.nextPresent(0)).isPresent();

    device.close();

    assertThat(device.nextPresent(0)).isEmpty();
    assertThat(device.presentBytes(0, 5000)).isZero();
  }

  @Test
  void waitOfAges_isOneForEver() throws Exception {
    try (CachedDevice device =
        builder(5000).sourceWait(Duration.ofSeconds(Long.MAX_VALUE)).open()) {
      device.read(0, ByteBuffer.allocate(5000));
    }
  }
}
