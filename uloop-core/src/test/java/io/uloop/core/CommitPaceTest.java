/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** When what was stored is made durable, if nobody asks for it. */
@Timeout(60)
class CommitPaceTest {

  private static final int SIZE = 8 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private static long setBits(Path bitmap) throws Exception {
    long bits = 0;
    for (byte b : Files.readAllBytes(bitmap)) {
      bits += Integer.bitCount(b & 0xFF);
    }
    return bits;
  }

  @Test
  void muchStored_isCommittedBeforeTheIntervalIsOver() throws Exception {
    byte[] image = new byte[SIZE];
    TestSeed.random("CommitPaceTest").nextBytes(image);
    CachePair pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
    CachedDevice.Builder builder =
        CachedDevice.builder(new MemorySource(image))
            .pair(pair)
            .readAheadMaxBytes(0)
            .commitInterval(Duration.ofHours(1));
    builder.commitBytes = 1 << 20;
    try (CachedDevice device = builder.open()) {
      device.read(0, ByteBuffer.allocate(512 << 10));
      // The first round may come at once, as no other came before; so only what comes later tells.
      for (int begun = 1; begun <= 3; begun++) {
        long before = setBits(pair.bitmapFile());
        device.read(begun * (2L << 20), ByteBuffer.allocate(2 << 20));
        long giveUp = System.nanoTime() + 20_000_000_000L;
        while (setBits(pair.bitmapFile()) - before < 128) {
          assertThat(System.nanoTime()).as("no commit").isLessThan(giveUp);
          Thread.onSpinWait();
        }
      }
    }
  }
}
