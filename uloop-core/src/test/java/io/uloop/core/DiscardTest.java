/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uloop.CacheFormatException;
import io.uloop.CacheInUseException;
import io.uloop.CacheMismatchException;
import io.uloop.MemorySource;
import io.uloop.SourceIdentity;
import io.uloop.TestSeed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A pair is removed whole, whatever goes wrong, and nothing but a pair is. */
@Timeout(60)
class DiscardTest {

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("DiscardTest");
  private final byte[] image = new byte[100_000];
  private CachePair pair;

  @BeforeEach
  void fill() {
    random.nextBytes(image);
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice open() throws IOException {
    // The same image by its identity, whatever is in it.
    SourceIdentity identity = new SourceIdentity("memory:x", image.length, Optional.empty());
    return CachedDevice.builder(new MemorySource(image).identity(identity)).pair(pair).open();
  }

  private void makePair() throws IOException {
    try (CachedDevice device = open()) {
      device.read(0, ByteBuffer.allocate(image.length));
    }
  }

  private List<String> files() throws IOException {
    try (Stream<Path> files = Files.list(dir)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void discard_pair_removesAllOfIt() throws IOException {
    makePair();
    assertThat(files()).contains("b", "c");

    assertThat(pair.exists()).isTrue();
    assertThat(pair.discard()).isTrue();

    assertThat(files()).isEmpty();
    assertThat(pair.exists()).isFalse();
    assertThat(pair.discard()).isFalse();
  }

  @Test
  void discard_inUse_isRefusedAndHarmsNothing() throws IOException {
    makePair();
    try (CachedDevice device = open()) {
      assertThatThrownBy(pair::discard).isInstanceOf(CacheInUseException.class);
      ByteBuffer all = ByteBuffer.allocate(image.length);
      assertThat(device.tryRead(0, all)).isTrue();
      assertThat(all.array()).isEqualTo(image);
    }
  }

  @Test
  void discard_legacyPair_isRemoved() throws IOException {
    makePair();
    Files.delete(pair.sidecarFile());

    assertThat(pair.discard()).isTrue();

    assertThat(files()).isEmpty();
  }

  @Test
  void discard_damagedSidecar_isStillAPair() throws IOException {
    makePair();
    Files.writeString(pair.sidecarFile(), "uloop-pair 1\nbroken\n");

    assertThat(pair.discard()).isTrue();

    assertThat(files()).isEmpty();
  }

  @Test
  void discard_filesThatAreNoPair_areNotTouched() throws IOException {
    Files.write(pair.bitmapFile(), new byte[] {1, 2, 3});
    Files.write(pair.cacheFile(), image);
    assertThatThrownBy(pair::discard).isInstanceOf(CacheMismatchException.class);

    // A disk image has a round size, too.
    Files.write(pair.bitmapFile(), java.util.Arrays.copyOf(image, 8192));
    Files.delete(pair.cacheFile());
    assertThatThrownBy(pair::discard).isInstanceOf(CacheMismatchException.class);

    Files.writeString(pair.sidecarFile(), "shopping list");
    assertThatThrownBy(pair::discard).isInstanceOf(CacheFormatException.class);

    assertThat(files()).containsExactly("b", "b.meta");
    assertThat(Files.size(pair.bitmapFile())).isEqualTo(8192);
  }

  /** The image again, as its own file beside a pair that has a sidecar; sizes say nothing. */
  @Test
  void discard_anotherFileForTheCacheFile_isRefusedAndNothingRemoved() throws IOException {
    makePair();
    Path diary = Files.write(dir.resolve("diary.txt"), Files.readAllBytes(pair.cacheFile()));
    CachePair mistaken = new CachePair(diary, pair.bitmapFile());
    List<String> before = files();

    assertThatThrownBy(mistaken::discard)
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining(diary + ": is not the cache file of " + pair.bitmapFile());

    Files.write(diary, new byte[10]);
    assertThatThrownBy(mistaken::discard)
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining(diary.toString());

    assertThat(files()).isEqualTo(before);
    assertThat(pair.discard()).isTrue();
    assertThat(files()).containsExactly("diary.txt");
  }

  @Test
  void discard_anotherFileForTheCacheFile_besideADamagedSidecar_isRefused() throws IOException {
    makePair();
    Files.writeString(pair.sidecarFile(), "uloop-pair 1\nbroken\n");
    Path diary = Files.write(dir.resolve("diary.txt"), new byte[10]);
    List<String> before = files();

    assertThatThrownBy(new CachePair(diary, pair.bitmapFile())::discard)
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining(diary.toString());

    assertThat(files()).isEqualTo(before);
  }

  @Test
  void discard_pairThatIsDamagedOrWithoutItsCacheFile_isRemoved() throws IOException {
    makePair();
    try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
      file.setLength(5);
    }
    assertThat(pair.discard()).isTrue();
    assertThat(files()).isEmpty();

    makePair();
    Files.delete(pair.cacheFile());
    assertThat(pair.discard()).isTrue();
    assertThat(files()).isEmpty();
  }

  @Test
  void discard_withoutSidecar_bitsOrChecksumsThatDoNotFit_isRefused() throws IOException {
    makePair();
    Files.delete(pair.sidecarFile());
    Path diary = Files.write(dir.resolve("diary.txt"), new byte[10]);
    List<String> before = files();
    CachePair mistaken = new CachePair(diary, pair.bitmapFile());

    // More bits than that has blocks, and then more checksums.
    assertThatThrownBy(mistaken::discard).isInstanceOf(CacheMismatchException.class);
    Files.write(pair.bitmapFile(), java.util.Arrays.copyOf(new byte[] {1}, 4096));
    assertThatThrownBy(mistaken::discard).isInstanceOf(CacheMismatchException.class);

    assertThat(files()).isEqualTo(before);
  }

  /** What a discard or a making leaves that was killed before or after the sidecar. */
  @ParameterizedTest
  @CsvSource({
    "512, 300000",
    "512, 1000000",
    "512, 30000000",
    "65536, 300000",
    "65536, 30000000",
    "1048576, 300000",
    "1048576, 30000000"
  })
  void discard_withoutABitAndWithoutSidecar_isRemovedWhateverTheUnit(int unit, int size)
      throws IOException {
    assumeTrue(hasMarks(), "the file system has marks (user extended attributes)");
    CachedDevice.builder(new MemorySource(new byte[size]))
        .pair(pair)
        .blockSizeBytes(unit)
        .open()
        .close();
    Files.delete(pair.sidecarFile());

    assertThat(pair.discard()).isTrue();

    assertThat(files()).isEmpty();
  }

  private boolean hasMarks() throws IOException {
    Path file = Files.createFile(dir.resolve("marked"));
    try (Storage.File open = new LocalStorage().open(file, Storage.Mode.EXISTING)) {
      open.setMark("m");
      return open.mark() != null;
    } finally {
      Files.delete(file);
    }
  }

  /** A cache file that was lost is made anew by an open, which may be killed then. */
  @Test
  void discard_cacheFileThatIsNewAndEmpty_isRemoved() throws IOException {
    makePair();
    Path kept = Files.move(pair.cacheFile(), dir.resolve("kept")); // so that the inode is another
    Files.createFile(pair.cacheFile());

    assertThat(pair.discard()).isTrue();

    assertThat(files()).containsExactly("kept");
    assertThat(Files.size(kept)).isPositive();
  }

  @Test
  void discard_linkIntoADirectoryThatIsGone_removesTheLink() throws IOException {
    Path big = Files.createDirectory(dir.resolve("big"));
    Files.createSymbolicLink(pair.cacheFile(), big.resolve("c"));
    makePair();
    Files.delete(big.resolve("c"));
    Files.delete(big);

    assertThat(pair.discard()).isTrue();

    assertThat(files()).isEmpty();
  }

  @Test
  void discard_cutShortAnywhere_leavesAnEmptyPairOrOneThatIsRefused() throws IOException {
    guard.expectWarnings("each block is verified before its first use");
    for (int step = 0; ; step++) {
      makePair();
      FaultStorage storage = new FaultStorage(new LocalStorage());
      storage.failStep(step, FaultStorage.Fault.EIO);
      try {
        new PairDiscard(storage, pair).run();
        if (storage.failed() == null) {
          assertThat(step).isGreaterThan(10);
          return;
        }
      } catch (IOException e) {
        assertThat(storage.failed()).isNotNull();
      }
      // Other bytes now: a block that is still present would show.
      byte[] old = image.clone();
      random.nextBytes(image);
      ByteBuffer read = ByteBuffer.allocate(image.length);
      try (CachedDevice device = open()) {
        device.read(0, read);
        boolean untouched = java.util.Arrays.equals(read.array(), old);
        assertThat(untouched || java.util.Arrays.equals(read.array(), image))
            .as("after %s: all old or all new", storage.failed())
            .isTrue();
      } catch (CacheMismatchException e) {
        assertThat(storage.failed()).as(e.getMessage()).isEqualTo("setSize b");
      }
      pair.discard();
      assertThat(files()).as("after %s", storage.failed()).isEmpty();
    }
  }
}
