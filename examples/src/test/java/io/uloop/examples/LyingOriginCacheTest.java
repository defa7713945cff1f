/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.SourceChangedException;
import io.uloop.SourceOptions;
import io.uloop.UloopException;
import io.uloop.core.CachePair;
import io.uloop.core.CachedDevice;
import io.uloop.http.HttpSourceProvider;
import io.uloop.http.Lie;
import io.uloop.http.LyingOrigin;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.EnumSet;
import java.util.List;
import java.util.Queue;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Whatever the server does, a reader of the device gets the right bytes or a typed error, and the
 * cache file holds nothing but right bytes.
 */
@Timeout(600)
final class LyingOriginCacheTest {

  private static final int SIZE = (8 << 20) + 777;
  private static final int BLOCK = 4096;
  private static final int THREADS = 12;

  // These say that the image is another one now, after which a device reads no more of it.
  private static final EnumSet<Lie> CHANGES =
      EnumSet.of(Lie.OTHER_ETAG, Lie.OTHER_TOTAL, Lie.WHOLE_SHORTER, Lie.WHOLE_OTHER_ETAG);

  @TempDir private Path directory;

  @Test
  void read_randomLies_rightBytesOrTypedErrorAndNothingWrongIsKept() throws Exception {
    run(400);
  }

  @Test
  @Tag("slow")
  void read_tenThousandRandomLies_rightBytesOrTypedErrorAndNothingWrongIsKept() throws Exception {
    for (int round = 0; round < 20; round++) {
      run(500);
    }
  }

  private void run(int reads) throws Exception {
    long seed = Long.getLong("uloop.seed", System.nanoTime());
    System.out.println(
        "LyingOriginCacheTest seed=" + seed + " (replay with -Duloop.seed=" + seed + ")");
    byte[] image = LyingOrigin.image(seed, SIZE);
    CachePair pair =
        new CachePair(directory.resolve("cache-" + seed), directory.resolve("bitmap-" + seed));
    EnumSet<Lie> lies = EnumSet.complementOf(CHANGES);
    lies.remove(Lie.NONE);
    Queue<String> wrong = new ConcurrentLinkedQueue<>();
    AtomicInteger right = new AtomicInteger();
    AtomicInteger errors = new AtomicInteger();
    try (LyingOrigin origin = LyingOrigin.serving(image)) {
      SourceOptions options =
          SourceOptions.builder()
              .timeout(Duration.ofSeconds(3))
              .property("http.stall-timeout", "0.3")
              .build();
      BlockSource source = new HttpSourceProvider().open(origin.uri(), options);
      try (CachedDevice device = CachedDevice.builder(source).pair(pair).open()) {
        origin.random(seed, 0.4, new ArrayList<>(lies));
        AtomicInteger left = new AtomicInteger(reads);
        List<Thread> readers = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
          SplittableRandom random = new SplittableRandom(seed + t);
          Thread reader =
              new Thread(
                  () -> {
                    while (left.getAndDecrement() > 0) {
                      one(device, image, random, right, errors, wrong);
                    }
                  },
                  "reader-" + t);
          reader.start();
          readers.add(reader);
        }
        for (Thread reader : readers) {
          reader.join();
        }
      }
      // Opened anew: no fetch is left that had begun before.
      origin.always(Lie.NONE);
      BlockSource again = new HttpSourceProvider().open(origin.uri(), options);
      try (CachedDevice device = CachedDevice.builder(again).pair(pair).open()) {
        thenChanged(origin, device, image, seed);
      }
    }
    int kept = presentAndRight(pair, image, wrong);
    System.out.println(
        "reads=" + reads + " right=" + right + " errors=" + errors + " kept=" + kept);
    assertThat(wrong).isEmpty();
    assertThat(right.get()).isGreaterThan(reads / 2);
    assertThat(kept).isPositive();
  }

  private static void one(
      CachedDevice device,
      byte[] image,
      SplittableRandom random,
      AtomicInteger right,
      AtomicInteger errors,
      Queue<String> wrong) {
    int length = random.nextInt(10) == 0 ? random.nextInt(1, SIZE / 16) : random.nextInt(1, 20_000);
    int offset = random.nextInt(SIZE - length + 1);
    ByteBuffer dst = ByteBuffer.allocate(length);
    try {
      device.read(offset, dst);
      if (dst.hasRemaining() || !Arrays.equals(dst.array(), slice(image, offset, length))) {
        wrong.add("read of " + length + " at " + offset);
      }
      right.incrementAndGet();
    } catch (UloopException e) {
      errors.incrementAndGet();
    } catch (IOException | RuntimeException e) {
      wrong.add("untyped " + e);
    }
  }

  private static byte[] slice(byte[] image, int offset, int length) {
    return Arrays.copyOfRange(image, offset, offset + length);
  }

  // A block that is missing is not read of another image; one that is present still is.
  private static void thenChanged(LyingOrigin origin, CachedDevice device, byte[] image, long seed)
      throws IOException {
    ByteBuffer first = ByteBuffer.allocate(BLOCK);
    device.read(0, first);
    origin.replace(LyingOrigin.image(~seed, SIZE), "\"another\"");
    boolean missing = false;
    for (int offset = 0; offset + BLOCK <= SIZE && !missing; offset += BLOCK) {
      if (device.presentBytes(offset, BLOCK) == 0) {
        int at = offset;
        missing = true;
        assertThatThrownBy(() -> device.read(at, ByteBuffer.allocate(BLOCK)))
            .isInstanceOf(SourceChangedException.class)
            .hasMessageContaining("\"another\"");
      }
    }
    device.read(0, first.clear());
    assertThat(first.array()).isEqualTo(slice(image, 0, BLOCK));
  }

  /** Compares each block whose bit is set, and counts them. */
  private static int presentAndRight(CachePair pair, byte[] image, Queue<String> wrong)
      throws IOException {
    BitSet bits = BitSet.valueOf(Files.readAllBytes(pair.bitmapFile()));
    byte[] cache = Files.readAllBytes(pair.cacheFile());
    for (int block = bits.nextSetBit(0); block >= 0; block = bits.nextSetBit(block + 1)) {
      int from = block * BLOCK;
      int to = Math.min(SIZE, from + BLOCK);
      if (!Arrays.equals(cache, from, to, image, from, to)) {
        wrong.add("kept block " + block);
      }
    }
    return bits.cardinality();
  }
}
