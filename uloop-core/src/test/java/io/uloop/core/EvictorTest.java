/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** What a bounded cache does about bytes in its file that belong to no block. */
@Timeout(60)
class EvictorTest {

  private static final int SIZE = 20 << 20;
  private static final int LIMIT = 4 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("EvictorTest");
  private final byte[] image = new byte[SIZE];
  private final FaultStorage storage = new FaultStorage(new LocalStorage());
  private CachePair pair;

  @BeforeEach
  void fill() {
    random.nextBytes(image);
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice.Builder builder() {
    return CachedDevice.builder(new MemorySource(image))
        .storage(storage)
        .pair(pair)
        .maxCacheBytes(LIMIT)
        .readAheadMaxBytes(0);
  }

  private void assertRead(CachedDevice device, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, length))).isEqualTo(-1);
  }

  /** Reads of the image's first part, where nothing is in the file, until a good deal is kept. */
  private void assertStoresAgain(CachedDevice device) throws IOException {
    while (device.statistics().presentBytes() < LIMIT / 2) {
      assertRead(device, random.nextInt(SIZE / 4), 65536);
      device.flush();
    }
  }

  @Test
  void bytesThatACrashLeftWithoutBits_makeRoom() throws Exception {
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, 4096);
    }
    try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
      file.seek(8 << 20);
      file.write(image, 8 << 20, LIMIT - (1 << 18));
    }
    try (CachedDevice device = builder().open()) {
      assertStoresAgain(device);
      assertRead(device, 8 << 20, LIMIT);
    }
  }

  @Test
  void punchThatFails_isTriedAgainAndFailsNoFlush() throws Exception {
    guard.expectWarnings("eviction failed");
    try (CachedDevice device = builder().open()) {
      storage.failAlways(step -> step.equals("punch c"), FaultStorage.Fault.EIO);
      for (int offset = 0; offset < SIZE; offset += 65536) {
        assertRead(device, offset, 65536);
        device.flush();
      }
      assertThat(guard.warnings()).hasSize(1).allMatch(w -> w.contains("punch of"));

      storage.heal();

      assertStoresAgain(device);
    }
    assertThat(Files.readString(pair.sidecarFile())).doesNotContain("bitmap open");
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, SIZE);
    }
  }
}
