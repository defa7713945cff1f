/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.CacheFormatException;
import io.uloop.CacheIoException;
import io.uloop.CacheMismatchException;
import io.uloop.PatternSource;
import io.uloop.UloopException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files of a pair that are links, or no files at all. */
@Timeout(60)
class PairLinksTest {

  private static final int SIZE = 100_000;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private Path elsewhere;
  private CachePair pair;

  @BeforeEach
  void makeElsewhere() throws IOException {
    elsewhere = Files.createDirectory(dir.resolve("elsewhere"));
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice.Builder builder() {
    return CachedDevice.builder(new PatternSource(SIZE)).pair(pair);
  }

  private void readAll() throws IOException {
    try (CachedDevice device = builder().open()) {
      ByteBuffer all = ByteBuffer.allocate(SIZE);
      device.read(0, all);
      assertThat(all.array()).isEqualTo(PatternSource.bytes(0, SIZE));
    }
  }

  private static List<String> files(Path dir) throws IOException {
    try (Stream<Path> files = Files.list(dir)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"c", "b", "b.crc"})
  void linkToNothing_isLedToAFileForItsOwnerOnly_andDiscardedWithIt(String name) throws Exception {
    Path middle = Files.createSymbolicLink(elsewhere.resolve("middle"), Path.of("target"));
    Path link = Files.createSymbolicLink(dir.resolve(name), Path.of("elsewhere/middle"));

    readAll();

    Path target = elsewhere.resolve("target");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(target)))
        .isEqualTo("rw-------");
    assertThat(Files.isSymbolicLink(link)).isTrue();
    readAll();

    assertThat(pair.discard()).isTrue();
    assertThat(Files.exists(target)).isFalse();
    assertThat(files(dir)).containsExactly("elsewhere");
    assertThat(Files.exists(middle, LinkOption.NOFOLLOW_LINKS)).isTrue();
  }

  @Test
  void linkToNothing_ofAnOpenThatFails_staysAlone() throws Exception {
    Files.createSymbolicLink(pair.cacheFile(), Path.of("elsewhere/target"));
    Files.writeString(pair.bitmapFile(), "mine");

    assertThatThrownBy(() -> builder().open()).isInstanceOf(CacheMismatchException.class);

    assertThat(files(dir)).containsExactly("b", "c", "elsewhere");
    assertThat(files(elsewhere)).isEmpty();
  }

  @Test
  void linkInACircle_isRefused() throws Exception {
    Files.createSymbolicLink(pair.cacheFile(), Path.of("c"));

    assertThatThrownBy(() -> builder().open())
        .isInstanceOf(CacheIoException.class)
        .hasMessageContaining(pair.cacheFile().toString());

    assertThat(files(dir)).containsExactly("c", "elsewhere");
  }

  @ParameterizedTest
  @CsvSource({
    "b.meta, /dev/zero",
    "b.meta, /dev/null",
    "b.meta, elsewhere",
    "b.meta, fifo",
    "b.crc, /dev/zero",
    "b.crc, elsewhere",
    "b.crc, fifo",
    "b, /dev/zero",
    "b, elsewhere",
    "b, fifo",
    "c, /dev/zero",
    "c, elsewhere",
    "c, fifo"
  })
  void whatIsNoFile_isRefused(String name, String what) throws Exception {
    if (what.equals("fifo")) {
      Process mkfifo = new ProcessBuilder("mkfifo", dir.resolve("fifo").toString()).start();
      assertThat(mkfifo.waitFor()).isZero();
    }
    Path file = Files.createSymbolicLink(dir.resolve(name), dir.resolve(what));

    for (WhenDifferent how : WhenDifferent.values()) {
      assertThatThrownBy(() -> builder().whenDifferent(how).open())
          .isInstanceOf(CacheIoException.class)
          .hasMessageContaining(file + ": ")
          .hasMessageContaining("is not a regular file");
    }

    Files.delete(file);
    readAll();
  }

  @ParameterizedTest
  @ValueSource(longs = {(1 << 20) + 1, 5L << 30})
  void sidecarOfAnySize_isRefusedUnread(long size) throws Exception {
    guard.expectWarnings("made anew");
    readAll();
    try (Storage.File file = new LocalStorage().open(pair.sidecarFile(), Storage.Mode.EXISTING)) {
      file.setSize(size);
    }

    assertThatThrownBy(() -> builder().open())
        .isInstanceOf(CacheFormatException.class)
        .isInstanceOf(UloopException.class)
        .hasMessageContaining(pair.sidecarFile() + ": is no sidecar: is of more than");

    builder().whenDifferent(WhenDifferent.RECREATE).open().close();
    readAll();
  }
}
