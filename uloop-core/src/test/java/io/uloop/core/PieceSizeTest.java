/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sources hand over pieces of any size, smaller and larger than what is stored at once. */
@Timeout(60)
class PieceSizeTest {

  private static final int SIZE = (9 << 20) + 12_345;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  /** Random bytes, a third of them in runs of zeroes that begin and end anywhere. */
  private static byte[] image() {
    Random random = TestSeed.random("PieceSizeTest");
    byte[] image = new byte[SIZE];
    random.nextBytes(image);
    for (int at = 0; at < SIZE; ) {
      int zeroes = random.nextInt(400_000);
      Arrays.fill(image, at, Math.min(SIZE, at + zeroes), (byte) 0);
      at += zeroes + random.nextInt(800_000);
    }
    return image;
  }

  @ParameterizedTest
  @CsvSource({
    "1000, 4096, 0",
    "300000, 4096, 0",
    "1048576, 4096, 0",
    "3145728, 4096, 0",
    "3145728, 512, 0",
    "3145728, 1048576, 0",
    "700001, 262144, 0",
    "3145728, 4096, 6291456",
    "3145728, 1048576, 8388608",
    "1048575, 65536, 6291456"
  })
  void copy_piecesOfAnySize_isTheImageAndStaysIt(int piece, int block, long limit)
      throws IOException {
    byte[] image = image();
    CachePair pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
    MemorySource source = new MemorySource(image).pieceBytes(piece).preferredFetchBytes(4 << 20);
    CachedDevice.Builder builder = CachedDevice.builder(source).pair(pair).blockSizeBytes(block);
    if (limit > 0) {
      builder.maxCacheBytes(limit);
    }
    try (CachedDevice device = builder.open()) {
      for (int round = 0; round < 2; round++) {
        ByteBuffer copy = ByteBuffer.allocate(SIZE);
        device.read(0, copy);
        assertThat(copy.array()).isEqualTo(image);
      }
    }
    if (limit == 0) {
      byte[] cached = Files.readAllBytes(pair.cacheFile());
      assertThat(Arrays.copyOf(cached, SIZE)).isEqualTo(image);
    }
  }

  @ParameterizedTest
  @CsvSource({"0, 1048576", "6291456, 262144"})
  void store_largePiece_isWrittenInWhatMayLandAtOnce(long limit, int most) throws Exception {
    byte[] image = new byte[4 << 20];
    TestSeed.random("PieceSizeTest").nextBytes(image);
    RecordingStorage recorded = new RecordingStorage(new MemoryStorage());
    CachePair pair = new CachePair(Path.of("c"), Path.of("b"));
    MemorySource source =
        new MemorySource(image).pieceBytes(image.length).preferredFetchBytes(image.length);
    CachedDevice.Builder builder =
        CachedDevice.builder(source).pair(pair).storage(recorded).readAheadMaxBytes(0);
    if (limit > 0) {
      builder.maxCacheBytes(limit);
    }
    try (CachedDevice device = builder.open()) {
      device.read(0, ByteBuffer.allocate(image.length));
    }
    assertThat(
            recorded.log().stream()
                .filter(RecordingStorage.Wrote.class::isInstance)
                .map(RecordingStorage.Wrote.class::cast)
                .filter(wrote -> wrote.path().endsWith("c"))
                .mapToInt(wrote -> wrote.bytes().length)
                .max())
        .hasValue(most);
  }
}
