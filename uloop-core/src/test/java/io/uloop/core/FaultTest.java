/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.CacheIoException;
import io.uloop.MemorySource;
import io.uloop.TestSeed;
import io.uloop.UloopException;
import io.uloop.core.FaultStorage.Fault;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Every step on the pair's files fails once, in turn. */
@Timeout(120)
class FaultTest {

  private static final int SIZE = (1 << 21) + 777;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("FaultTest");
  private final byte[] image = new byte[SIZE];
  private CachePair pair;
  private MemorySource source;

  private CachedDevice open(Storage storage, boolean checksums, boolean bounded)
      throws IOException {
    source = new MemorySource(image);
    CachedDevice.Builder builder =
        CachedDevice.builder(source)
            .pair(pair)
            .storage(storage)
            .checksums(checksums)
            .readAheadMaxBytes(0)
            .commitInterval(Duration.ofHours(1)); // flushes only, so that runs are alike
    return (bounded ? builder.maxCacheBytes(1 << 20) : builder).open();
  }

  private static FaultStorage faulty() {
    return new FaultStorage(new LocalStorage()).unforced();
  }

  private void assertRead(CachedDevice device, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, length))).isEqualTo(-1);
  }

  private void newPair(int number) throws IOException {
    Path place = Files.createDirectory(dir.resolve("run" + number));
    pair = new CachePair(place.resolve("c"), place.resolve("b"));
  }

  /** One life of a device. Reads must succeed; open, flush and close may fail. */
  private List<IOException> live(Storage storage, boolean checksums, boolean bounded)
      throws IOException {
    List<IOException> failures = new ArrayList<>();
    try (CachedDevice device = open(storage, checksums, bounded)) {
      for (int offset = 0; offset + 400_000 < SIZE; offset += 400_000) {
        assertRead(device, offset, 400_000);
        assertRead(device, offset, 10_000);
        try {
          device.flush();
        } catch (IOException e) {
          failures.add(e);
        }
      }
    } catch (UloopException e) {
      failures.add(e); // of open or close
    }
    return failures;
  }

  @ParameterizedTest
  @CsvSource({"EIO, true, false", "EIO, false, true", "ENOSPC, true, true", "SHORT, true, false"})
  void everyStep_failsOnce_nothingLeaksAndNothingWrongIsServed(
      Fault fault, boolean checksums, boolean bounded) throws Exception {
    guard.expectWarnings("");
    random.nextBytes(image);
    java.util.Arrays.fill(image, 100_000, 200_000, (byte) 0);
    int refused = 0;
    int step = 0;
    for (boolean reached = true; reached; step++) {
      newPair(step);
      if (random.nextBoolean()) {
        try (CachedDevice device = open(faulty(), checksums, bounded)) {
          assertRead(device, 50_000, 700_000);
        }
      }
      FaultStorage faulty = faulty();
      if (random.nextBoolean()) {
        faulty.unmappable();
      }
      faulty.failStep(step, fault);

      List<IOException> failures = live(faulty, checksums, bounded);

      String failed = faulty.failed();
      reached = failed != null;
      guard.assertNothingLeft();
      assertThat(source.closes()).as(failed).isPositive();
      if (!reached) {
        assertThat(failures).isEmpty();
      }
      for (IOException failure : failures) {
        assertNames(failure, failed);
      }
      refused += readAgain(checksums) ? 0 : 1;
    }
    System.out.printf("%d runs, %d pairs refused afterwards%n", step, refused);
    assertThat(refused).isZero();
  }

  private void assertNames(IOException failure, String failed) {
    String file = failed.substring(failed.indexOf(' ') + 1);
    assertThat(failure).as(failed).isInstanceOf(CacheIoException.class);
    assertThat(failure.getMessage()).as(failed).contains(file).doesNotContain("null");
    if (failed.startsWith("read ") || failed.startsWith("write ")) {
      assertThat(failure.getMessage()).as(failed).containsPattern(" at \\d+");
    }
  }

  /** What is left must open, and whatever it serves must be right. */
  private boolean readAgain(boolean checksums) throws IOException {
    try (CachedDevice device = open(faulty(), checksums, false)) {
      assertRead(device, 0, SIZE);
      return true;
    } catch (io.uloop.CacheMismatchException e) {
      return false;
    }
  }

  @ParameterizedTest
  @EnumSource(Fault.class)
  void writes_failForAWhile_readsPassThroughAndCachingResumes(Fault fault) throws Exception {
    guard.expectWarnings("reads pass through to the source");
    random.nextBytes(image);
    newPair(0);
    FaultStorage faulty = faulty();
    try (CachedDevice device = open(faulty, true, false)) {
      assertRead(device, 0, 100_000);
      faulty.failAlways(step -> step.startsWith("write c"), fault);
      assertRead(device, 1 << 20, 300_000);
      assertRead(device, 1 << 20, 300_000);
      assertThat(device.statistics().passThroughBytes()).isGreaterThanOrEqualTo(600_000);
      assertThat(device.statistics().presentBytes()).isLessThan(1 << 20);
      assertRead(device, 0, 100_000);

      faulty.heal();

      long giveUp = System.nanoTime() + 10_000_000_000L;
      while (device.presentBytes(1 << 20, 300_000) < 300_000) {
        assertThat(System.nanoTime()).isLessThan(giveUp);
        assertRead(device, 1 << 20, 300_000);
      }
      device.flush();
    }
    assertThat(readAgain(true)).isTrue();
  }

  @Test
  void force_failsOnce_whatItCoveredIsFetchedAgain() throws Exception {
    guard.expectWarnings("commit failed", "reads pass through to the source");
    random.nextBytes(image);
    newPair(0);
    FaultStorage faulty = faulty();
    try (CachedDevice device = open(faulty, true, false)) {
      faulty.failAlways(step -> step.equals("force c"), Fault.EIO);
      assertRead(device, 0, 100_000);
      assertFlushFails(device);
      faulty.heal();
      assertThat(device.statistics().presentBytes()).isZero();
      // At once, or in two seconds, if a block was being stored when the force failed.
      while (device.presentBytes(0, 100_000) < 100_000) {
        assertRead(device, 0, 100_000);
      }
      device.flush();
      assertThat(source.timesRead(0)).isGreaterThanOrEqualTo(2);
      assertThat(device.presentBytes(0, 100_000)).isEqualTo(100_000);
    }
  }

  @Test
  void force_fails_blocksStoredMeanwhileOnAnotherPageAreNotTrusted() throws Exception {
    guard.expectWarnings("commit failed");
    newPair(0);
    int far = 16_800_000; // on the second page of a bitmap of 512-byte blocks
    FaultStorage faulty = faulty();
    try (CachedDevice device =
        CachedDevice.builder(new io.uloop.PatternSource(17 << 20))
            .pair(pair)
            .storage(faulty)
            .blockSizeBytes(512)
            .readAheadMaxBytes(0)
            .commitInterval(Duration.ofHours(1))
            .open()) {
      device.flush();
      java.util.concurrent.CompletableFuture<?> meanwhile =
          new java.util.concurrent.CompletableFuture<>();
      faulty.before(
          "force c",
          () -> {
            try {
              device.read(far, ByteBuffer.allocate(512));
              meanwhile.complete(null);
            } catch (IOException e) {
              meanwhile.completeExceptionally(e);
            }
          });
      faulty.failAlways(step -> step.equals("force c"), Fault.EIO);
      device.read(0, ByteBuffer.allocate(512));
      assertFlushFails(device);
      meanwhile.get();

      faulty.heal();

      assertThat(device.presentBytes(far, 512)).isZero();
      device.flush();
    }
  }

  private static void assertFlushFails(CachedDevice device) throws IOException {
    try {
      device.flush();
    } catch (CacheIoException e) {
      return;
    }
    throw new AssertionError("the flush did not fail");
  }

  @Test
  void cacheFile_cutShortUnderADevice_isNeverServedAsAnythingElse() throws Exception {
    guard.expectWarnings("");
    random.nextBytes(image);
    newPair(0);
    try (CachedDevice device = open(faulty(), true, false)) {
      assertRead(device, 0, SIZE);
      try (java.io.RandomAccessFile file =
          new java.io.RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
        for (int round = 0; round < 60; round++) {
          // The part beyond is read at once, as the fetch of a part would make the rest a hole.
          int end = (1 + random.nextInt(SIZE / 4096 - 2)) * 4096;
          file.setLength(end);
          assertRead(device, end, (SIZE - end) / 8 * 8);
          assertRead(device, 0, SIZE);
        }
      }
    }
  }
}
