/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Blocks that cannot be read any more, while a fetch goes over them for what is behind. */
@Timeout(60)
class HealTest {

  private static final int SIZE = 1 << 20;
  private static final int BLOCK = 4096;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[SIZE];
  private final FaultStorage storage = new FaultStorage(new LocalStorage()).unmappable();
  private MemorySource source;

  @BeforeEach
  void fill() {
    TestSeed.random("HealTest").nextBytes(image);
    source = new MemorySource(image).pieceBytes(BLOCK);
  }

  private CachedDevice.Builder builder() {
    return CachedDevice.builder(source)
        .storage(storage)
        .checksums(false)
        .pair(new CachePair(dir.resolve("c"), dir.resolve("b")))
        .readAheadMaxBytes(0);
  }

  private void assertIs(ByteBuffer read, int offset) {
    ByteBuffer expected = ByteBuffer.wrap(image, offset, read.flip().remaining());
    assertThat(read.mismatch(expected)).isEqualTo(-1);
  }

  private CachedDevice openWithOnlyBlock5() throws Exception {
    try (CachedDevice device = builder().fetchBytes(BLOCK).open()) {
      device.read(5 * BLOCK, ByteBuffer.allocate(BLOCK));
    }
    source = new MemorySource(image).pieceBytes(BLOCK);
    return builder().open();
  }

  @Test
  void unreadableBlockWithinAFetch_isReadOnceMoreFromTheSource() throws Exception {
    guard.expectWarnings("fetched again", "pass through");
    try (CachedDevice device = openWithOnlyBlock5()) {
      source.hold();
      CompletableFuture<ByteBuffer> before =
          device.readAsync(4 * BLOCK, ByteBuffer.allocate(4 * BLOCK));
      source.awaitHeld(1);
      storage.failAlways(step -> step.equals("read c"), FaultStorage.Fault.EIO);

      CompletableFuture<ByteBuffer> bad = device.readAsync(5 * BLOCK, ByteBuffer.allocate(BLOCK));
      assertThat(bad).isNotDone();
      source.release();

      assertIs(bad.get(), 5 * BLOCK);
      storage.heal();
      device.read(5 * BLOCK, ByteBuffer.allocate(BLOCK));
      assertThat(device.statistics().healedBlocks()).isPositive();
      // What else it asked for came with it, or was asked for once more as the block failed.
      assertThat(before.handle((done, failure) -> failure).get()).isNull();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"b.crc", "c"})
  void manyBlocksThatAreWrong_areHealedAndFillNoLog(String lost) throws Exception {
    guard.expectWarnings("has no checksum", "does not fit its checksum");
    try (CachedDevice device = builder().checksums(true).open()) {
      device.read(0, ByteBuffer.allocate(SIZE));
    }
    Path file = dir.resolve(lost);
    try (RandomAccessFile zeroes = new RandomAccessFile(file.toFile(), "rw")) {
      long size = zeroes.length();
      zeroes.setLength(0);
      zeroes.setLength(size);
    }
    source = new MemorySource(image).pieceBytes(BLOCK);
    try (CachedDevice device = builder().checksums(true).open()) {
      ByteBuffer all = ByteBuffer.allocate(SIZE);
      device.read(0, all);

      assertIs(all, 0);
      assertThat(device.statistics().healedBlocks()).isEqualTo(SIZE / BLOCK);
    }
    // The first three, number 10 and number 100.
    assertThat(guard.warnings()).hasSize(5);
    assertThat(guard.warnings().get(4)).contains("100 such blocks so far");
  }

  @Test
  void backgroundWork_makesWayInTheMiddleOfABlock() throws Exception {
    source.parallelism(1).pieceBytes(1448);
    source.hold();
    try (CachedDevice device = builder().open()) {
      device.prefetch(0, 512 * 1024);
      source.awaitHeld(1);
      CompletableFuture<ByteBuffer> read = device.readAsync(900 * 1024, ByteBuffer.allocate(BLOCK));
      source.allow(1448 + 64 * 1024); // a piece for who makes way, then a fetch of its own

      assertIs(read.get(), 900 * 1024);
      source.release();
    }
  }
}
