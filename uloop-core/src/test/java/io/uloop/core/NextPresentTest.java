/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.ByteRange;
import io.uloop.MemorySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The map of what is present, by the bitmap. */
@Timeout(30)
class NextPresentTest {

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private CachedDevice open(int size) throws IOException {
    return CachedDevice.builder(new MemorySource(new byte[size]))
        .pair(new CachePair(dir.resolve("c"), dir.resolve("b")))
        .fetchBytes(4096)
        .readAheadMaxBytes(0)
        .open();
  }

  @Test
  void nextPresent_runsAndGaps_areFoundFromAnyOffset() throws IOException {
    int size = 10 * 4096 + 777;
    try (CachedDevice device = open(size)) {
      device.read(2 * 4096, ByteBuffer.allocate(2 * 4096));
      device.read(size - 1, ByteBuffer.allocate(1));

      ByteRange middle = new ByteRange(2 * 4096, 4 * 4096);
      assertThat(device.nextPresent(0)).contains(middle);
      assertThat(device.nextPresent(2 * 4096)).contains(middle);
      assertThat(device.nextPresent(3 * 4096 + 5)).contains(new ByteRange(3 * 4096 + 5, 4 * 4096));
      assertThat(device.nextPresent(4 * 4096)).contains(new ByteRange(10 * 4096, size));
      assertThat(device.nextPresent(size - 1)).contains(new ByteRange(size - 1, size));
      assertThat(device.nextPresent(size)).isEmpty();
      assertThatThrownBy(() -> device.nextPresent(size + 1))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void nextPresent_nothingPresentOrNothingThere_isEmpty() throws IOException {
    try (CachedDevice device = open(8192)) {
      assertThat(device.nextPresent(0)).isEmpty();
      assertThat(device.nextPresent(8192)).isEmpty();
    }
  }

  @Test
  void nextPresent_emptyImage_isEmpty() throws IOException {
    try (CachedDevice device = open(0)) {
      assertThat(device.nextPresent(0)).isEmpty();
    }
  }
}
