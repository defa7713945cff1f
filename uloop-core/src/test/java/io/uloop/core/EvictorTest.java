/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.PatternSource;
import io.uloop.TestSeed;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
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

  private long allocated() throws IOException {
    try (Storage.File file = new LocalStorage().open(pair.cacheFile(), Storage.Mode.EXISTING)) {
      return file.allocatedBytes();
    }
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
      device.flush();
      assertThat(allocated()).isLessThanOrEqualTo(LIMIT);
    }
  }

  /** Nothing is read, so nothing but the open itself can make it obey. */
  @Test
  void aLimitBelowWhatThePairHolds_isKeptFromTheOpenOn() throws Exception {
    try (CachedDevice device = builder().maxCacheBytes(Long.MAX_VALUE).open()) {
      assertRead(device, 0, SIZE);
    }
    assertThat(allocated()).isGreaterThanOrEqualTo(SIZE);
    CountDownLatch punched = new CountDownLatch(1);
    storage.before("punch c", punched::countDown);

    try (CachedDevice device = builder().open()) {
      assertThat(punched.await(30, TimeUnit.SECONDS)).isTrue();
      device.flush(); // waits for the end of the round
      assertThat(device.statistics().misses()).isZero();
      assertThat(allocated()).isLessThanOrEqualTo(LIMIT);
    }
  }

  /** Zeroes count until the evictor has looked: they may have it look, not evict. */
  @Test
  void zeroes_evictNothing() throws Exception {
    int data = LIMIT / 8 * 7;
    Arrays.fill(image, data, SIZE, (byte) 0);
    try (CachedDevice device = builder().open()) {
      for (int offset = 0; offset < SIZE; offset += 65536) {
        assertRead(device, offset, 65536);
        device.flush();
      }

      assertThat(device.statistics().evictedBytes()).isZero();
      assertThat(device.presentBytes(0, SIZE)).isEqualTo(SIZE);
    }
  }

  /** A fill leaves hardly any room below the high mark. */
  @Test
  void zeroes_afterAFill_evictNothing() throws Exception {
    Arrays.fill(image, SIZE / 2, SIZE, (byte) 0);
    try (CachedDevice device = builder().open()) {
      device.fill(Long.MAX_VALUE, 1).await();
      long filled = device.presentBytes(0, SIZE / 2);
      for (int offset = SIZE / 2; offset < SIZE; offset += 65536) {
        assertRead(device, offset, 65536);
      }
      device.flush();

      assertThat(device.statistics().evictedBytes()).isZero();
      assertThat(device.statistics().passThroughBytes()).isZero();
      assertThat(device.presentBytes(0, SIZE / 2)).isEqualTo(filled);
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

      long evicted = device.statistics().evictedBytes();
      while (device.statistics().evictedBytes() < evicted + 2 * LIMIT) {
        assertRead(device, random.nextInt(SIZE - 65536), 65536);
        device.flush();
      }
      assertStoresAgain(device);
      assertThat(allocated()).isLessThanOrEqualTo(LIMIT);
    }
    assertThat(Files.readString(pair.sidecarFile())).doesNotContain("bitmap open");
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, SIZE);
    }
  }

  @Test
  void hugeImage_readByManyAndClosed_isClosedAndSealed() throws Exception {
    long size = 1L << 41;
    CachedDevice device =
        CachedDevice.builder(new PatternSource(size))
            .pair(pair)
            .maxCacheBytes(16 << 20)
            .readAheadMaxBytes(0)
            .open();
    AtomicLong reads = new AtomicLong();
    List<Thread> readers = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      Random own = new Random(random.nextLong());
      Thread reader =
          new Thread(
              () -> {
                try {
                  while (true) {
                    device.read(
                        (own.nextLong() >>> 1) % (size - 65536), ByteBuffer.allocate(65536));
                    reads.incrementAndGet();
                  }
                } catch (IOException e) {
                  assertThat(e).isInstanceOf(ClosedChannelException.class);
                }
              });
      reader.start();
      readers.add(reader);
    }
    while (reads.get() < 2000) {
      Thread.onSpinWait();
    }

    device.close(); // which is stuck for minutes if it goes through the image

    for (Thread reader : readers) {
      reader.join();
    }
    assertThat(Files.readString(pair.sidecarFile())).doesNotContain("bitmap open");
  }
}
