/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.CacheFormatException;
import io.uloop.CacheInUseException;
import io.uloop.CacheMismatchException;
import io.uloop.MemorySource;
import io.uloop.PatternSource;
import io.uloop.SourceIdentity;
import io.uloop.TestSeed;
import io.uloop.UloopException;
import io.uloop.Validator;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which files are taken for a pair of a source, and which are refused. */
@Timeout(60)
class PairingTest {

  private static final int SIZE = (1 << 20) + 777;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("PairingTest");
  private final byte[] image = new byte[SIZE];
  private CachePair pair;
  private MemorySource source;

  @BeforeEach
  void fill() {
    random.nextBytes(image);
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice.Builder builder(boolean checksums) {
    source = new MemorySource(image).identity(identity("1"));
    return CachedDevice.builder(source).pair(pair).checksums(checksums);
  }

  private static SourceIdentity identity(String generation) {
    return new SourceIdentity(
        "memory:x", SIZE, Optional.of(new Validator(Validator.Kind.ETAG, generation)));
  }

  private static void assertRead(CachedDevice device, byte[] bytes) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(bytes.length);
    device.read(0, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(bytes))).isEqualTo(-1);
  }

  private void makePair(boolean checksums) throws IOException {
    try (CachedDevice device = builder(checksums).open()) {
      assertRead(device, image);
    }
  }

  /** As after a crash: the sidecar does not vouch for the bitmap. */
  private void unseal() throws IOException {
    Sidecar sidecar = Sidecar.parse(pair.sidecarFile(), Files.readAllBytes(pair.sidecarFile()));
    Files.write(pair.sidecarFile(), sidecar.open().toBytes());
  }

  /** Opens and reads all; or it is refused. Never anything else. */
  private boolean servesOrRefuses(boolean checksums) throws IOException {
    try (CachedDevice device = builder(checksums).open()) {
      assertRead(device, image);
      return true;
    } catch (CacheMismatchException e) {
      assertThat(source.closes()).isPositive();
      return false;
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void cacheFile_deletedUnderItsBits_isRefused(boolean checksums) throws Exception {
    makePair(checksums);
    Files.delete(pair.cacheFile());

    assertThatThrownBy(() -> builder(checksums).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining(pair.cacheFile().toString());
    assertThatThrownBy(() -> builder(checksums).open()).isInstanceOf(CacheMismatchException.class);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void cacheFile_cutShort_isRefused(boolean checksums) throws Exception {
    makePair(checksums);
    try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
      file.setLength(8192);
    }

    assertThatThrownBy(() -> builder(checksums).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining("is 8192 bytes");
  }

  @ParameterizedTest
  @CsvSource({"true,true", "true,false", "false,true", "false,false"})
  void cacheFile_replacedByOneOfZeroes_isNeverServedAsZeroes(boolean checksums, boolean sealed)
      throws Exception {
    guard.expectWarnings("each block is verified before its first use", "does not fit");
    makePair(checksums);
    if (!sealed) {
      unseal();
    }
    Path other = dir.resolve("other");
    try (RandomAccessFile file = new RandomAccessFile(other.toFile(), "rw")) {
      file.setLength(Files.size(pair.cacheFile()));
    }
    Files.move(other, pair.cacheFile(), StandardCopyOption.REPLACE_EXISTING);

    assertThat(servesOrRefuses(checksums)).isEqualTo(checksums);
  }

  @ParameterizedTest
  @CsvSource({"true,true", "true,false", "false,true", "false,false"})
  void cacheFile_deletedAndMadeAgainWithTheSameInode_isNeverServedAsZeroes(
      boolean checksums, boolean sealed) throws Exception {
    guard.expectWarnings("each block is verified before its first use", "does not fit");
    makePair(checksums);
    if (!sealed) {
      unseal();
    }
    long length = Files.size(pair.cacheFile());
    Files.delete(pair.cacheFile());
    try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
      file.setLength(length);
    }

    assertThat(servesOrRefuses(checksums)).isEqualTo(checksums);
  }

  /** The line as it is, with another device and, if wanted, another inode. */
  private void rewriteCacheFileLine(int inodeMore) throws IOException {
    Sidecar is = Sidecar.parse(pair.sidecarFile(), Files.readAllBytes(pair.sidecarFile()));
    String[] key = is.cacheFileKey().split(":");
    assertThat(key).as("the file system has extended attributes").hasSize(3);
    String other =
        (Long.parseLong(key[0]) + 1) + ":" + (Long.parseLong(key[1]) + inodeMore) + ":" + key[2];
    Sidecar moved =
        new Sidecar(
            is.identity(),
            is.blockSizeBytes(),
            other,
            is.checksums(),
            is.bitmapChecksum(),
            is.writer());
    Files.write(pair.sidecarFile(), moved.toBytes());
  }

  @Test
  void cacheFile_onADeviceOfAnotherNumber_isTheSame() throws Exception {
    makePair(false);
    rewriteCacheFileLine(0);

    assertThat(servesOrRefuses(false)).isTrue();
    assertThat(source.bytesDelivered()).isZero();
  }

  @Test
  void cacheFile_ofAnotherInodeWithTheSameMark_isNotTheSame() throws Exception {
    makePair(false);
    rewriteCacheFileLine(1);

    assertThat(servesOrRefuses(false)).isFalse();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void bitmap_ofAnotherTime_isNoticed(boolean checksums) throws Exception {
    guard.expectWarnings("each block is verified before its first use", "has no checksum");
    makePair(checksums);
    byte[] full = Files.readAllBytes(pair.bitmapFile());
    try (CachedDevice device =
        builder(checksums).whenDifferent(WhenDifferent.RECREATE).blockSizeBytes(8192).open()) {
      device.read(0, ByteBuffer.allocate(10));
    } finally {
      guard.expectWarnings("made anew");
    }
    byte[] now = Files.readAllBytes(pair.bitmapFile());
    assertThat(now).isNotEqualTo(full);
    System.arraycopy(full, 0, now, 0, 8);
    Files.write(pair.bitmapFile(), now);

    assertThat(servesOrRefuses(checksums)).isEqualTo(checksums);
  }

  @Test
  void cacheFile_withBitsFlipped_isHealedAndCounted() throws Exception {
    guard.expectWarnings("does not fit its checksum");
    makePair(true);
    try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
      for (int block = 3; block < SIZE / 4096; block += 7) {
        flip(file, block * 4096L + random.nextInt(4096));
      }
    }

    try (CachedDevice device = builder(true).open()) {
      assertRead(device, image);
      assertThat(device.statistics().healedBlocks()).isEqualTo((SIZE / 4096 - 4) / 7 + 1);
    }
    try (CachedDevice device = builder(true).open()) {
      assertRead(device, image);
      assertThat(device.statistics().healedBlocks()).isZero();
      assertThat(source.bytesDelivered()).isZero();
    }
  }

  @Test
  void completeImage_flushedBeforeItIsVerified_isStillHealed() throws Exception {
    guard.expectWarnings("does not fit its checksum");
    makePair(true);
    try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
      flip(file, 70_000);
    }

    try (CachedDevice device = builder(true).open()) {
      device.flush();
      assertRead(device, image);
      assertThat(device.statistics().healedBlocks()).isEqualTo(1);
    }
  }

  private void flip(RandomAccessFile file, long at) throws IOException {
    file.seek(at);
    int was = file.read();
    file.seek(at);
    file.write(was ^ 1 << random.nextInt(8));
  }

  @Test
  void recreate_withoutChecksums_leavesNoneOfTheOldSource() throws Exception {
    guard.expectWarnings("made anew");
    makePair(true);
    byte[] next = new byte[SIZE];
    random.nextBytes(next);
    for (boolean checksums : new boolean[] {false, true}) {
      try (CachedDevice device =
          CachedDevice.builder(new MemorySource(next).identity(identity("2")))
              .pair(pair)
              .checksums(checksums)
              .whenDifferent(WhenDifferent.RECREATE)
              .open()) {
        assertRead(device, next);
        assertThat(device.statistics().healedBlocks()).isZero();
      }
    }
  }

  @Test
  void legacyPair_withBitsSetByHand_isAdopted() throws Exception {
    Geometry geometry = new Geometry(SIZE, 4096);
    byte[] bits = new byte[(int) geometry.bitmapFileBytes()];
    byte[] cache = new byte[SIZE];
    int set = 0;
    for (int block = 0; block < geometry.blocks(); block++) {
      if (random.nextInt(3) == 0) {
        set++;
        bits[block / 8] |= (byte) (1 << block % 8);
        int end = Math.min(SIZE, (block + 1) * 4096);
        System.arraycopy(image, block * 4096, cache, block * 4096, end - block * 4096);
      }
    }
    Files.write(pair.cacheFile(), cache);
    Files.write(pair.bitmapFile(), bits);

    try (CachedDevice device = builder(true).fetchBytes(4096).open()) {
      assertThat(device.statistics().presentBytes()).isBetween((set - 1) * 4096L, set * 4096L);
      assertRead(device, image);
      assertThat(source.bytesDelivered()).isGreaterThan(0).isLessThan(SIZE);
    }
    try (CachedDevice device = builder(true).open()) {
      assertRead(device, image);
      assertThat(source.bytesDelivered()).isZero();
    }
    assertThat(Files.size(pair.cacheFile())).isEqualTo(geometry.cacheFileBytes());
  }

  @ParameterizedTest
  @CsvSource({
    "4096, 512, true",
    "4096, 8192, true",
    "4096, 8192, false",
    "8192, 8192, true",
    "8192, 0, true",
    "512, 0, true",
    "512, 0, false",
    "512, 512, false",
    "65536, 0, true"
  })
  void pairWithoutSidecar_ofAnotherUnit_isRefusedAndLeftAlone(
      int made, int asked, boolean checksums) throws Exception {
    // Of whole blocks in any unit, so that sizes say nothing; the bitmap is of 4096 bytes always.
    SourceIdentity whole = new SourceIdentity("memory:x", 1 << 20, Optional.empty());
    byte[] bytes = java.util.Arrays.copyOf(image, 1 << 20);
    try (CachedDevice device =
        CachedDevice.builder(new MemorySource(bytes).identity(whole))
            .pair(pair)
            .checksums(checksums)
            .blockSizeBytes(made)
            .fetchBytes(Math.max(4096, made))
            .readAheadMaxBytes(0)
            .open()) {
      for (int offset = 4096; offset < 1 << 20; offset += 70_000) {
        device.read(offset, ByteBuffer.allocate(1));
      }
      device.read((1 << 20) - 1, ByteBuffer.allocate(1));
    }
    Files.delete(pair.sidecarFile());
    byte[] bitmap = Files.readAllBytes(pair.bitmapFile());
    byte[] cache = Files.readAllBytes(pair.cacheFile());
    CachedDevice.Builder again =
        CachedDevice.builder(new MemorySource(bytes).identity(whole))
            .pair(pair)
            .checksums(checksums);

    assertThatThrownBy(() -> (asked == 0 ? again : again.blockSizeBytes(asked)).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining(dir.toString())
        .hasMessageContaining("4096 bytes")
        .hasMessageContaining("re-create it");

    assertThat(Files.readAllBytes(pair.bitmapFile())).isEqualTo(bitmap);
    assertThat(Files.readAllBytes(pair.cacheFile())).isEqualTo(cache);
    assertThat(Files.exists(pair.sidecarFile())).isFalse();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void pairOf4096WithoutSidecar_isAdopted(boolean checksums) throws Exception {
    makePair(checksums);
    Files.delete(pair.sidecarFile());

    assertThat(servesOrRefuses(checksums)).isTrue();
    assertThat(source.bytesDelivered()).isZero();
  }

  @Test
  void filesThatAreNoPair_areRefusedAndLeftAlone() throws Exception {
    byte[] precious = new byte[5000];
    random.nextBytes(precious);
    Files.write(pair.cacheFile(), precious);

    assertThatThrownBy(() -> builder(true).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining("not a pair");

    assertThat(Files.readAllBytes(pair.cacheFile())).isEqualTo(precious);
  }

  @ParameterizedTest
  @CsvSource({
    "uri memory:x, uri memory:y, source was memory:y",
    "size 1049353, size 1049354, size was 1049354",
    "validator ETAG 1, validator ETAG 2, validator was ETAG 2",
    "validator ETAG 1, validator LAST_MODIFIED 1, validator was LAST_MODIFIED 1",
    "block-size 4096, block-size 8192, bitmap",
    "block-size 4096, block-size 3, damaged",
    "block-size 4096, block-size none, damaged",
    "size 1049353, size -1, damaged",
    "validator ETAG 1, validator WHAT 1, damaged",
    "uloop-pair 1, uloop-pair 2, format version 2",
    "uloop-pair 1, something else, is no sidecar"
  })
  void sidecar_thatDiffersInALine_isRefusedAndTheDifferenceSaid(
      String line, String other, String said) throws Exception {
    makePair(true);
    String text = Files.readString(pair.sidecarFile());
    assertThat(text).contains(line + "\n");
    String changed = text.replace(line + "\n", other + "\n");
    changed = changed.substring(0, changed.lastIndexOf("crc32c "));
    CRC32C crc = new CRC32C();
    crc.update(changed.getBytes(StandardCharsets.UTF_8));
    Files.writeString(pair.sidecarFile(), changed + "crc32c %08x\n".formatted(crc.getValue()));
    byte[] bitmap = Files.readAllBytes(pair.bitmapFile());

    if (line.startsWith("block-size") && said.equals("bitmap")) {
      // A unit of 8192 was never asked for, so it is taken; the bitmap's size happens to fit.
      assertThat(servesOrRefuses(true)).isFalse();
      return;
    }
    assertThatThrownBy(() -> builder(true).open())
        .isInstanceOf(UloopException.class)
        .hasMessageContaining(pair.sidecarFile().toString())
        .hasMessageContaining(said);
    assertThat(Files.readAllBytes(pair.bitmapFile())).isEqualTo(bitmap);
  }

  @Test
  void sidecar_damagedAnywhere_isRefusedOrRight() throws Exception {
    makePair(true);
    byte[] right = Files.readAllBytes(pair.sidecarFile());
    for (int i = 0; i < 60; i++) {
      byte[] wrong = right.clone();
      if (i % 2 == 0) {
        wrong[random.nextInt(wrong.length)] ^= (byte) (1 << random.nextInt(7));
      } else {
        wrong = java.util.Arrays.copyOf(right, random.nextInt(right.length));
      }
      Files.write(pair.sidecarFile(), wrong);
      assertThatThrownBy(() -> builder(true).open()).isInstanceOf(CacheFormatException.class);
    }
    Files.write(pair.sidecarFile(), right);
    assertThat(servesOrRefuses(true)).isTrue();
  }

  @ParameterizedTest
  @CsvSource({
    "0,4096",
    "1,4096",
    "4095,4096",
    "4096,4096",
    "4097,4096",
    "10486537,4096",
    "0,512",
    "1,512",
    "511,512",
    "512,512",
    "513,512",
    "10486537,512",
    "10486537,65536",
    "10486537,1048576",
    "1048575,1048576",
    "1048577,1048576"
  })
  void anySize_inAnyBlockSize_isReadTwice(int size, int block) throws Exception {
    for (int round = 0; round < 2; round++) {
      PatternSource pattern = new PatternSource(size);
      try (CachedDevice device =
          CachedDevice.builder(pattern).pair(pair).blockSizeBytes(block).open()) {
        assertThat(device.size()).isEqualTo(size);
        assertRead(device, PatternSource.bytes(0, size));
        assertThat(device.isComplete()).isTrue();
        assertThatThrownBy(() -> device.read(size, ByteBuffer.allocate(1)))
            .isInstanceOf(IndexOutOfBoundsException.class);
      }
    }
    Geometry geometry = new Geometry(size, block);
    assertThat(Files.size(pair.cacheFile())).isEqualTo(geometry.cacheFileBytes());
    assertThat(Files.size(pair.bitmapFile())).isEqualTo(geometry.bitmapFileBytes());
    assertThat(Files.readAllBytes(pair.cacheFile())).startsWith(PatternSource.bytes(0, size));
  }

  @Test
  void anImageOfTerabytes_isReadAtItsEnds() throws Exception {
    long size = (5L << 40) + 12345;
    for (int round = 0; round < 2; round++) {
      BlockSource pattern = new PatternSource(size);
      try (CachedDevice device = CachedDevice.builder(pattern).pair(pair).checksums(false).open()) {
        for (long offset : new long[] {0, (2L << 30) - 100, (4L << 30) - 1, size - 70_000}) {
          ByteBuffer dst = ByteBuffer.allocate(70_000);
          device.read(offset, dst);
          assertThat(dst.array()).isEqualTo(PatternSource.bytes(offset, 70_000));
        }
      }
    }
  }

  @Test
  void theSamePair_twiceInOneJvm_isInUse() throws Exception {
    try (CachedDevice first = builder(true).open()) {
      assertThatThrownBy(() -> builder(true).open())
          .isInstanceOf(CacheInUseException.class)
          .hasMessageContaining("another device of this JVM");
      assertRead(first, image);
    }
    assertThat(servesOrRefuses(true)).isTrue();
  }

  @Test
  void theSamePair_inAnotherProcess_isInUse() throws Exception {
    try (CachedDevice device = CachedDevice.builder(new PatternSource(SIZE)).pair(pair).open()) {
      assertThat(OtherProcess.run(OtherProcess.Open.class, dir.toString(), "" + SIZE))
          .contains("in use by another process");
      assertRead(device, PatternSource.bytes(0, SIZE));
    }
    assertThat(OtherProcess.run(OtherProcess.Open.class, dir.toString(), "" + SIZE))
        .contains("opened");
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theCacheFile_withAnotherBitmapInAnotherProcess_isInUse(boolean made) throws Exception {
    if (made) {
      CachedDevice.builder(new PatternSource(SIZE)).pair(pair).open().close();
    }
    try (CachedDevice device = CachedDevice.builder(new PatternSource(SIZE)).pair(pair).open()) {
      assertThat(OtherProcess.run(OtherProcess.Open.class, dir.toString(), "" + SIZE, "c", "b2"))
          .contains(pair.cacheFile() + ": is in use by another process");
      assertThat(OtherProcess.run(OtherProcess.Open.class, dir.toString(), "" + SIZE, "c2", "b"))
          .contains(pair.bitmapFile() + ": is in use by another process");
      assertRead(device, PatternSource.bytes(0, SIZE));
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void pairThatDoesNotBelongTogether_onRequest_isMadeAnew(boolean checksums) throws Exception {
    guard.expectWarnings("made anew");
    makePair(false);
    Path other = Files.write(dir.resolve("other"), new byte[(int) Files.size(pair.cacheFile())]);
    Files.move(other, pair.cacheFile(), StandardCopyOption.REPLACE_EXISTING);
    assertThat(servesOrRefuses(checksums)).isFalse();

    try (CachedDevice device = builder(checksums).whenDifferent(WhenDifferent.RECREATE).open()) {
      assertThat(device.statistics().presentBytes()).isZero();
      assertRead(device, image);
    }

    assertThat(servesOrRefuses(checksums)).isTrue();
    assertThat(source.bytesDelivered()).isZero();
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void oneFile_underTwoNames_isRefused(boolean symbolic) throws Exception {
    Files.createFile(pair.cacheFile());
    if (symbolic) {
      Files.createSymbolicLink(pair.bitmapFile(), pair.cacheFile());
    } else {
      Files.createLink(pair.bitmapFile(), pair.cacheFile());
    }

    assertThatThrownBy(() -> builder(true).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining("are one file");
    assertThat(Files.size(pair.cacheFile())).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"b", "b.meta", "b.meta.new", "b.crc", "x/../b.crc"})
  void namesOfOneFile_areNoPair(String cache) {
    assertThatThrownBy(() -> new CachePair(dir.resolve(cache), dir.resolve("b")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("are one");
  }

  @ParameterizedTest
  @CsvSource({
    "b.meta, c, true", "b.meta, c, false", "b.meta.new, c, true", "b.meta.new, c, false",
    "b.crc, c, true", "b.crc, c, false", "b.meta, b, true", "b.meta, b, false",
    "b.meta.new, b, false", "b.crc, b, true", "b.crc, b, false", "b.crc, b.meta, false"
  })
  void aFileBesideThePair_thatIsOneOfIt_isRefusedAndNothingDiscarded(
      String name, String of, boolean symbolic) throws Exception {
    makePair(true);
    Path link = dir.resolve(name);
    Path file = dir.resolve(of);
    Files.deleteIfExists(link);
    if (symbolic) {
      Files.createSymbolicLink(link, file);
    } else {
      Files.createLink(link, file);
    }
    byte[] before = Files.readAllBytes(file);

    assertThatThrownBy(() -> builder(true).whenDifferent(WhenDifferent.RECREATE).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining("are one file");
    assertThatThrownBy(pair::discard)
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining("are one file");

    assertThat(Files.readAllBytes(file)).isEqualTo(before);
  }

  /** Nothing is there before the open, and names do not tell. */
  @ParameterizedTest
  @ValueSource(strings = {"b", "b.meta", "b.meta.new", "b.crc"})
  void oneFile_byALinkedDirectory_isRefusedAndNotLeftBehind(String cache) throws Exception {
    Path real = Files.createDirectory(dir.resolve("real"));
    Path linked = Files.createSymbolicLink(dir.resolve("linked"), real);
    pair = new CachePair(linked.resolve(cache), real.resolve("b"));

    assertThatThrownBy(() -> builder(true).open())
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining("are one file");

    assertThat(real).isEmptyDirectory();
  }

  /** Such as a source of a local file has for its identity, whose own it is a pair of files. */
  @ParameterizedTest
  @CsvSource({
    "c, file:, ''",
    "b, file:, ''",
    "b.crc, file:, ''",
    "b.meta, file:, ''",
    "c, file://, ''",
    "c, file:%, ''",
    "c, file:, soft",
    "c, file:, hard",
    "b, file:, hard"
  })
  void theSourceItself_asAFileOfThePair_isRefusedAndNotTouched(
      String name, String scheme, String linked) throws Exception {
    Path file = dir.resolve("the image");
    Path named = dir.resolve(name);
    Files.write(linked.isEmpty() ? named : file, image);
    if (linked.equals("soft")) {
      Files.createSymbolicLink(named, file);
    } else if (linked.equals("hard")) {
      Files.createLink(named, file);
    }
    Path is = linked.isEmpty() ? named : file;
    String uri =
        switch (scheme) {
          case "file:" -> scheme + is;
          case "file:%" -> "file:" + is.toString().replace("c", "%63");
          default -> is.toUri().toString();
        };
    source = new MemorySource(image).identity(new SourceIdentity(uri, SIZE, Optional.empty()));
    CachedDevice.Builder wrong =
        CachedDevice.builder(source).pair(pair).whenDifferent(WhenDifferent.RECREATE);

    assertThatThrownBy(wrong::open)
        .isInstanceOf(CacheMismatchException.class)
        .hasMessageContaining(named + " is the source itself");

    assertThat(Files.readAllBytes(is)).isEqualTo(image);
    assertThat(source.closes()).isPositive();
  }
}
