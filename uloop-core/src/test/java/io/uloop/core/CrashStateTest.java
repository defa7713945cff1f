/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.CacheMismatchException;
import io.uloop.MemorySource;
import io.uloop.SourceIdentity;
import io.uloop.TestSeed;
import io.uloop.Validator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Cuts the power after every change of the pair's files, in many ways, and opens what is left.
 *
 * <p>The rule under test: a bit on disk is set only after the block's right data is durable. So in
 * every state every block whose bit is set must be the source's. Checksums must never be needed for
 * that, and where they are on each must fit.
 */
@Timeout(120)
class CrashStateTest {

  // Two pages of the bitmap.
  private static final int BLOCK = 512;
  private static final int SIZE = (17 << 20) + 777;

  // Nothing is made there: the files are in memory; but their directory must exist.
  private static final Path DIR = Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
  private static final CachePair PAIR = new CachePair(DIR.resolve("cache"), DIR.resolve("bitmap"));

  @RegisterExtension final Guard guard = new Guard();

  private final Random random = TestSeed.random("CrashStateTest");
  private final byte[] image = image(random);
  private int unit = BLOCK;
  private int found;
  private int refused;

  private static byte[] image(Random random) {
    byte[] image = new byte[SIZE];
    random.nextBytes(image);
    for (int hole = 0; hole < 40; hole++) {
      int from = random.nextInt(SIZE - 100_000);
      java.util.Arrays.fill(image, from, from + random.nextInt(100_000), (byte) 0);
    }
    return image;
  }

  private BlockSource source(byte[] bytes) {
    return new MemorySource(bytes).identity(identity(bytes)).pieceBytes(10_000);
  }

  private SourceIdentity identity(byte[] bytes) {
    String generation = bytes == image ? "1" : "2";
    return new SourceIdentity(
        "memory:", bytes.length, Optional.of(new Validator(Validator.Kind.OTHER, generation)));
  }

  private CachedDevice open(
      Storage storage, byte[] bytes, boolean checksums, UnaryOperator<CachedDevice.Builder> more)
      throws IOException {
    return more.apply(
            CachedDevice.builder(source(bytes))
                .pair(PAIR)
                .storage(storage)
                .blockSizeBytes(unit)
                .fetchBytes(4096)
                .readAheadMaxBytes(16384)
                .checksums(checksums)
                .commitInterval(Duration.ofMillis(2)))
        .open();
  }

  private void read(CachedDevice device, byte[] bytes, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(bytes, offset, length))).isEqualTo(-1);
  }

  /** Readers on both pages, a flush now and then. */
  private void readAbout(CachedDevice device, byte[] bytes, int readers, int reads)
      throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(readers);
    List<Future<?>> all = new ArrayList<>();
    for (int t = 0; t < readers; t++) {
      long seed = random.nextLong();
      all.add(
          threads.submit(
              () -> {
                Random own = new Random(seed);
                for (int i = 0; i < reads; i++) {
                  int length = 1 + own.nextInt(5000);
                  read(device, bytes, own.nextInt(SIZE - length + 1), length);
                  if (own.nextInt(10) == 0) {
                    device.flush();
                  }
                }
                return null;
              }));
    }
    for (Future<?> each : all) {
      each.get();
    }
    threads.shutdown();
  }

  /** Opens a state as an engine would, and holds every present block against the source. */
  private void check(MemoryStorage state, byte[] bytes, boolean checksums, boolean mayRefuse)
      throws IOException {
    PairOpener opener = new PairOpener(state, PAIR, checksums, WhenDifferent.FAIL);
    try (PairFiles files = opener.open(identity(bytes), unit)) {
      Geometry geometry = files.geometry();
      BlockStore store = new BlockStore(files, null, () -> {});
      PagedBits present = files.present();
      ByteBuffer block = ByteBuffer.allocate(unit);
      long blocks = geometry.blocks();
      for (long b = 0; (b = present.nextSet(b, blocks)) < blocks; b++) {
        int start = (int) geometry.startOf(b);
        int length = (int) geometry.endBefore(b + 1) - start;
        store.copy(start, block, 0, length);
        if (block.clear().limit(length).mismatch(ByteBuffer.wrap(bytes, start, length)) >= 0) {
          throw new AssertionError("bit " + b + " is set and its data is wrong");
        }
        found++;
      }
      BlockVerifier verifier = store.verifier();
      long bad = verifier == null ? -1 : verifier.verify(0, blocks, store::setReady);
      if (bad >= 0) {
        throw new AssertionError("bit " + bad + " is set and its checksum is wrong or missing");
      }
    } catch (CacheMismatchException e) {
      refused++;
      if (!mayRefuse) {
        throw e;
      }
    }
  }

  private void each(
      MemoryStorage before, RecordingStorage recorded, int perPrefix, CrashStates.Check check)
      throws Exception {
    int changes = recorded.log().size();
    int states = new CrashStates(before, recorded.log(), random).each(perPrefix, check);
    System.out.printf(
        "%d changes, %d states, %d present blocks compared, %d states refused%n",
        changes, states, found, refused);
  }

  private static MemoryStorage copy(MemoryStorage storage) {
    MemoryStorage copy = new MemoryStorage();
    storage.files().forEach((path, image) -> copy.files().put(path, image.copy()));
    return copy;
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void make_read_flush_close_inEveryCrashState_noBitLies(boolean checksums) throws Exception {
    MemoryStorage files = new MemoryStorage();
    RecordingStorage recorded = new RecordingStorage(files);
    try (CachedDevice device = open(recorded, image, checksums, b -> b)) {
      readAbout(device, image, 3, 25);
    }

    each(
        new MemoryStorage(),
        recorded,
        6,
        (state, changes) -> check(state, image, checksums, false));

    assertThat(found).isPositive();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void reopen_read_close_inEveryCrashState_noBitLies(boolean checksums) throws Exception {
    MemoryStorage files = new MemoryStorage();
    try (CachedDevice device = open(files, image, checksums, b -> b)) {
      readAbout(device, image, 2, 60);
    }
    MemoryStorage before = copy(files);
    RecordingStorage recorded = new RecordingStorage(files);
    for (int times = 0; times < 3; times++) {
      try (CachedDevice device = open(recorded, image, checksums, b -> b)) {
        readAbout(device, image, 2, 15);
      }
    }

    each(before, recorded, 4, (state, changes) -> check(state, image, checksums, false));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void recreate_inEveryCrashState_neverMixesGenerations(boolean checksums) throws Exception {
    byte[] next = image(random);
    MemoryStorage files = new MemoryStorage();
    try (CachedDevice device = open(files, image, checksums, b -> b)) {
      readAbout(device, image, 2, 80);
    }
    MemoryStorage before = copy(files);
    RecordingStorage recorded = new RecordingStorage(files);
    guard.expectWarnings("made anew", "each block is verified before its first use");
    try (CachedDevice device =
        open(recorded, next, checksums, b -> b.whenDifferent(WhenDifferent.RECREATE))) {
      readAbout(device, next, 2, 25);
    }

    each(
        before,
        recorded,
        10,
        (state, changes) -> {
          MemoryStorage again = copy(state);
          check(state, next, checksums, true);
          check(again, image, checksums, true);
        });
    assertThat(refused).isPositive();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void adopt_inEveryCrashState_noBitLies(boolean checksums) throws Exception {
    unit = Geometry.DEFAULT_BLOCK_BYTES; // a pair without a sidecar is of no other
    MemoryStorage files = new MemoryStorage();
    Geometry geometry = new Geometry(SIZE, unit);
    MemoryStorage.Image bitmap = files.image(PAIR.bitmapFile());
    MemoryStorage.Image cache = files.image(PAIR.cacheFile());
    bitmap.setSize(geometry.bitmapFileBytes());
    cache.setSize(SIZE); // not rounded up, as the original's
    byte[] bits = new byte[(int) geometry.bitmapFileBytes()];
    for (int i = 0; i < 500; i++) {
      int block = random.nextInt((int) geometry.blocks());
      bits[block / 8] |= (byte) (1 << block % 8);
      int start = block * unit;
      cache.write(
          start,
          java.util.Arrays.copyOfRange(image, start, start + unit),
          0,
          Math.min(unit, SIZE - start));
    }
    bitmap.write(0, bits, 0, bits.length);
    MemoryStorage before = copy(files);
    RecordingStorage recorded = new RecordingStorage(files);
    try (CachedDevice device = open(recorded, image, checksums, b -> b)) {
      assertThat(device.statistics().presentBytes()).isGreaterThan(200 * unit);
      readAbout(device, image, 2, 30);
    }

    each(before, recorded, 5, (state, changes) -> check(state, image, checksums, false));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void evict_inEveryCrashState_noBitLies(boolean checksums) throws Exception {
    MemoryStorage files = new MemoryStorage();
    RecordingStorage recorded = new RecordingStorage(files);
    try (CachedDevice device = open(recorded, image, checksums, b -> b.maxCacheBytes(1 << 20))) {
      for (int round = 0; round < 5; round++) {
        readAbout(device, image, 2, 10);
        int offset = random.nextInt(SIZE - 500_000);
        read(device, image, offset, 500_000);
        device.flush();
      }
      assertThat(device.statistics().evictedBytes()).isPositive();
    }

    each(
        new MemoryStorage(),
        recorded,
        1,
        (state, changes) -> check(state, image, checksums, false));
  }

  @Test
  void heal_inEveryCrashState_noBitLies() throws Exception {
    MemoryStorage files = new MemoryStorage();
    try (CachedDevice device = open(files, image, true, b -> b)) {
      read(device, image, 0, 100_000);
    }
    // Damage of long ago, so that the first read finds it.
    MemoryStorage.Image cache = files.image(PAIR.cacheFile());
    int[] damaged = random.ints(20, 0, 100_000 / BLOCK).toArray();
    for (int block : damaged) {
      cache.write(block * (long) BLOCK + random.nextInt(BLOCK), new byte[] {1, 2, 3}, 0, 1);
    }
    MemoryStorage before = copy(files);
    RecordingStorage recorded = new RecordingStorage(files);
    guard.expectWarnings("does not fit its checksum");
    try (CachedDevice device = open(recorded, image, true, b -> b)) {
      for (int i = 0; i < 20; i++) {
        read(device, image, random.nextInt(90_000), 10_000);
      }
      read(device, image, 0, 100_000);
      assertThat(device.statistics().healedBlocks()).isPositive();
    }

    each(
        before,
        recorded,
        4,
        (state, changes) -> {
          try (CachedDevice device = open(state, image, true, b -> b)) {
            read(device, image, 0, 100_000);
          }
        });
  }

  @Test
  void aPowerCut_whenForcesOfTheCacheFileDidNothing_isNoticedByTheseTests() throws Exception {
    RecordingStorage recorded = new RecordingStorage(new MemoryStorage(), PAIR.cacheFile()::equals);
    try (CachedDevice device = open(recorded, image, false, b -> b)) {
      readAndFlush(device, 0, 3_000_000);
    }

    assertCaught(recorded);
  }

  @Test
  void aPowerCut_whenTheHoleMayComeBeforeTheClearedBit_isNoticedByTheseTests() throws Exception {
    RecordingStorage recorded =
        new RecordingStorage(new MemoryStorage(), PAIR.bitmapFile()::equals);
    try (CachedDevice device = open(recorded, image, false, b -> b.maxCacheBytes(1 << 20))) {
      // How much must be read until something has to go: the image has zeroes, which take no room.
      int offset = 0;
      while (device.statistics().evictedBytes() == 0) {
        assertThat(offset).isLessThan(SIZE - 500_000);
        readAndFlush(device, offset, offset += 250_000);
      }
      readAndFlush(device, offset, offset + 500_000);
    }

    assertCaught(recorded);
  }

  private void readAndFlush(CachedDevice device, int from, int to) throws IOException {
    for (int offset = from; offset < to; offset += 250_000) {
      read(device, image, offset, 100_000);
      device.flush();
    }
  }

  /** What the tests above do, where forces had no effect: some state must come out wrong. */
  private void assertCaught(RecordingStorage recorded) {
    assertThatThrownBy(
            () ->
                each(
                    new MemoryStorage(),
                    recorded,
                    3,
                    (state, changes) -> check(state, image, false, true)))
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("is set and its data is wrong");
  }
}
