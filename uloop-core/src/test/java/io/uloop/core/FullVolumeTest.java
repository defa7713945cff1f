/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The cache on a volume that is really full: a tmpfs of a few MiB. */
@Timeout(60)
@Tag("root")
class FullVolumeTest {

  private static final int SIZE = 16 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[SIZE];
  private final Random random = TestSeed.random("FullVolumeTest");
  private Path volume;

  @BeforeEach
  void mount() throws Exception {
    random.nextBytes(image);
    volume = Files.createDirectory(dir.resolve("volume"));
    run("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", volume.toString());
  }

  @AfterEach
  void unmount() throws Exception {
    run("umount", volume.toString()); // not lazily: a close leaves nothing behind
  }

  private static void run(String... command) throws Exception {
    Process process = new ProcessBuilder(command).inheritIO().start();
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(String.join(" ", command)).isZero();
  }

  private CachedDevice.Builder builder() {
    return CachedDevice.builder(new MemorySource(image))
        .readAheadMaxBytes(0)
        .pair(new CachePair(volume.resolve("c"), volume.resolve("b")));
  }

  private void assertRead(CachedDevice device, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, length))).isEqualTo(-1);
  }

  @Test
  void fullVolume_readsPassThroughAndCachingResumesWhenThereIsRoom() throws Exception {
    guard.expectWarnings("No space left on device");
    Path ballast = volume.resolve("ballast");
    Files.write(ballast, new byte[3 << 20]);
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, SIZE);
      assertRead(device, 0, SIZE);
      assertThat(device.statistics().passThroughBytes()).isGreaterThan(SIZE);
      assertThat(device.statistics().presentBytes()).isPositive().isLessThan(3 << 20);
      device.flush();
      long before = device.statistics().presentBytes();

      Files.delete(ballast);

      while (device.statistics().presentBytes() < before + (1 << 20)) {
        assertRead(device, random.nextInt(SIZE - 100_000), 100_000);
      }
      device.flush();
    }
    try (CachedDevice device = builder().open()) {
      assertThat(device.statistics().presentBytes()).isPositive();
      assertRead(device, 0, SIZE);
      assertThat(device.statistics().healedBlocks()).isZero();
    }
  }

  @Test
  void fullVolume_blocksOfZeroesAreReadAllTheSame() throws Exception {
    guard.expectWarnings("No space left on device");
    java.util.Arrays.fill(image, 0, SIZE / 2, (byte) 0);
    try (CachedDevice device = builder().open()) {
      assertRead(device, SIZE - 4096, 4096);
    }
    // Opened once more, the file need not be a hole where nothing is present: so that is looked at.
    try (CachedDevice device = builder().open()) {
      Path ballast = volume.resolve("ballast");
      try (var out = Files.newOutputStream(ballast)) {
        byte[] piece = new byte[4096];
        while (true) {
          out.write(piece);
        }
      } catch (IOException e) {
        assertThat(e).hasMessageContaining("No space left");
      }
      for (int offset = 0; offset < SIZE; offset += 100_000) {
        assertRead(device, offset, Math.min(100_000, SIZE - offset));
      }
      Files.delete(ballast);
    }
  }

  @Test
  void boundedCache_onAVolumeThatHasTheRoom_neverFillsIt() throws Exception {
    try (CachedDevice device = builder().maxCacheBytes(4 << 20).open()) {
      for (int round = 0; round < 200; round++) {
        assertRead(device, random.nextInt(SIZE - 200_000), 200_000);
      }
      device.flush();
      assertThat(device.statistics().evictedBytes()).isPositive();
    }
  }
}
