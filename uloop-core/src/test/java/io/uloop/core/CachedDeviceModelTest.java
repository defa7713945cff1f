/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Many threads read at random; each byte must be the source's, whatever path it took. */
@Timeout(120)
class CachedDeviceModelTest {

  @TempDir Path dir;

  @ParameterizedTest
  @ValueSource(ints = {512, 4096, 65536})
  void randomReads_byManyThreads_giveTheSourcesBytes(int blockSize) throws Exception {
    Random random = TestSeed.random("CachedDeviceModelTest");
    byte[] image = new byte[(8 << 20) + 777];
    random.nextBytes(image);
    java.util.Arrays.fill(image, 1 << 20, 2 << 20, (byte) 0);
    CachePair pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
    for (int round = 0; round < 3; round++) {
      MemorySource source = new MemorySource(image).pieceBytes(64 + random.nextInt(100_000));
      DeliveryRecord record = new DeliveryRecord(source, blockSize);
      try (CachedDevice device =
          CachedDevice.builder(record).pair(pair).blockSizeBytes(blockSize).open()) {
        ExecutorService threads = Executors.newFixedThreadPool(8);
        List<Future<?>> all = new ArrayList<>();
        for (int t = 0; t < 8; t++) {
          long own = random.nextLong();
          int last = round;
          all.add(
              threads.submit(
                  () -> {
                    Random r = new Random(own);
                    for (int i = 0; i < (last == 2 ? 2000 : 150); i++) {
                      int length = 1 + r.nextInt(r.nextInt(5) == 0 ? 700_000 : 9000);
                      int offset = r.nextInt(image.length - length + 1);
                      ByteBuffer dst =
                          r.nextBoolean()
                              ? ByteBuffer.allocate(length)
                              : ByteBuffer.allocateDirect(length);
                      device.read(offset, dst);
                      assertThat(dst.hasRemaining()).isFalse();
                      assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, length)))
                          .isEqualTo(-1);
                    }
                    return null;
                  }));
        }
        for (Future<?> each : all) {
          each.get();
        }
        threads.shutdown();
        // Random reads may have left out a piece.
        device.read(0, ByteBuffer.allocate(image.length));
        assertThat(record.unexplained()).isEmpty();
        if (round > 0) {
          assertThat(source.bytesDelivered()).isZero();
        }
      }
    }
    assertThat(java.nio.file.Files.readAllBytes(pair.cacheFile())).startsWith(image);
  }
}
