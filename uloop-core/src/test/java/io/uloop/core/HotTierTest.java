/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.PatternSource;
import io.uloop.TestSeed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Copies of hot blocks: never of what was dropped, and not at a reader's cost. */
@Timeout(60)
class HotTierTest {

  private static final int BLOCK = 4096;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[1 << 20];

  private CachePair pair() {
    return new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private void assertReadOften(CachedDevice device, int offset) throws IOException {
    for (int i = 0; i < 20; i++) {
      assertRead(device, offset);
    }
  }

  private void assertRead(CachedDevice device, int offset) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(BLOCK);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, BLOCK))).isEqualTo(-1);
  }

  private void spoil(int offset) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(pair().cacheFile().toFile(), "rw")) {
      file.seek(offset);
      file.write(new byte[] {1, 2, 3, 4});
    }
  }

  @Test
  void blockThatWasHealed_isNotServedFromItsOldCopy() throws Exception {
    TestSeed.random("HotTierTest").nextBytes(image);
    guard.expectWarnings("does not fit its checksum");
    try (CachedDevice device =
        CachedDevice.builder(new MemorySource(image)).pair(pair()).readAheadMaxBytes(0).open()) {
      device.read(0, ByteBuffer.allocate(image.length));
      spoil(5 * BLOCK + 10);
      for (int i = 0; i < 20; i++) {
        device.read(5 * BLOCK, ByteBuffer.allocate(BLOCK)); // wrong, as nobody has looked yet
      }

      assertThat(device.verify().wrong()).isEqualTo(1);

      assertReadOften(device, 5 * BLOCK);
      assertThat(device.verify().wrong()).isZero();
    }
  }

  @Test
  void cacheFileThatWasCut_isNotServedFromCopies() throws Exception {
    TestSeed.random("HotTierTest").nextBytes(image);
    guard.expectWarnings("fetched again", "until that is committed");
    try (CachedDevice device =
        CachedDevice.builder(new MemorySource(image)).pair(pair()).readAheadMaxBytes(0).open()) {
      device.read(0, ByteBuffer.allocate(image.length));
      assertReadOften(device, 200 * BLOCK);
      try (RandomAccessFile file = new RandomAccessFile(pair().cacheFile().toFile(), "rw")) {
        file.setLength(100 * BLOCK + 10);
      }
      // The page that the cut goes through reads as zeroes from there on.
      for (int i = 0; i < 20; i++) {
        device.read(100 * BLOCK, ByteBuffer.allocate(BLOCK));
      }
      assertRead(device, 150 * BLOCK); // faults, which is noticed

      for (int block = 100; block < 256; block++) {
        assertReadOften(device, block * BLOCK);
      }
    }
  }

  /** Reads blocks often, in a JVM that has no direct memory to speak of. */
  static final class ReadOften {
    private ReadOften() {}

    public static void main(String[] arguments) throws Exception {
      Path dir = Path.of(arguments[0]);
      try (CachedDevice device =
          CachedDevice.builder(new PatternSource(1 << 20))
              .pair(new CachePair(dir.resolve("c"), dir.resolve("b")))
              .open()) {
        // All but half a MiB, which the tier may not have: its memory comes in pieces of 2 MiB.
        List<ByteBuffer> taken = new ArrayList<>();
        taken.add(ByteBuffer.allocateDirect(7 << 18));
        for (int block = 0; block < 256; block++) {
          for (int i = 0; i < 20; i++) {
            ByteBuffer dst = ByteBuffer.allocate(BLOCK);
            device.read(block * BLOCK, dst);
            if (!java.util.Arrays.equals(dst.array(), PatternSource.bytes(block * BLOCK, BLOCK))) {
              throw new AssertionError("wrong at block " + block);
            }
          }
        }
        System.out.println("all read, " + taken.size());
      }
    }
  }

  @Test
  void noDirectMemory_isNoReasonForAReadToFail() throws Exception {
    String output =
        OtherProcess.run(List.of("-XX:MaxDirectMemorySize=3m"), ReadOften.class, dir.toString());

    assertThat(output).contains("all read").containsOnlyOnce("no more are made");
  }

  private static long directBytes() {
    return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
        .filter(pool -> pool.getName().equals("direct"))
        .mapToLong(BufferPoolMXBean::getMemoryUsed)
        .sum();
  }

  @Test
  void close_ofDevicesOneAfterAnother_givesTheirMemoryBack() throws Exception {
    byte[] image = new byte[8192];
    long before = directBytes();
    for (int i = 0; i < 20; i++) {
      try (CachedDevice device =
          CachedDevice.builder(new MemorySource(image))
              .pair(new CachePair(dir.resolve("c" + i), dir.resolve("b" + i)))
              .open()) {
        for (int n = 0; n < 8; n++) {
          device.read(0, ByteBuffer.allocate(4096));
        }
      }
    }
    assertThat(directBytes() - before).isLessThan(10 << 20);
  }
}
