/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.MemorySource;
import io.uloop.ReadSink;
import io.uloop.SourceProtocolException;
import io.uloop.SourceUnavailableException;
import io.uloop.TestSeed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The background fill, in good times and in bad ones. */
@Timeout(60)
class BackgroundFillTest {

  private static final int SIZE = (8 << 20) + 1234;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[SIZE];
  private MemorySource source;
  private final FaultStorage storage = new FaultStorage(new LocalStorage());

  @BeforeEach
  void fill() {
    TestSeed.random("BackgroundFillTest").nextBytes(image);
    source = new MemorySource(image);
  }

  private CachedDevice.Builder builder(io.uloop.BlockSource of) {
    CachePair pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
    return CachedDevice.builder(of).storage(storage).pair(pair).readAheadMaxBytes(0);
  }

  @Test
  void goodTimes_allIsPresentAndRight() throws Exception {
    try (CachedDevice device = builder(source).open()) {
      assertThat(device.fill(Long.MAX_VALUE, 3).await()).isTrue();

      assertThat(device.isComplete()).isTrue();
      ByteBuffer dst = ByteBuffer.allocate(SIZE);
      device.read(0, dst);
      assertThat(dst.array()).isEqualTo(image);
      assertThat(source.bytesDelivered()).isEqualTo(SIZE);
    }
  }

  @Test
  void partThatCanNeverBeRead_endsItAfterASecondTry() throws Exception {
    AtomicInteger tries = new AtomicInteger();
    ForwardingSource bad =
        new ForwardingSource(source) {
          @Override
          public void read(long offset, long length, ReadSink sink) throws IOException {
            if (offset <= 3 << 20 && 3 << 20 < offset + length) {
              tries.incrementAndGet();
              throw new SourceProtocolException("a bad spot");
            }
            super.read(offset, length, sink);
          }
        };
    try (CachedDevice device = builder(bad).open()) {
      BackgroundFill fill = device.fill(Long.MAX_VALUE, 1);

      assertThatThrownBy(fill::await).hasMessageContaining("a bad spot");
      assertThat(tries).hasValue(2);
    }
  }

  @Test
  void closedDevice_endsItThoughTheRateWouldHaveItWaitForHours() throws Exception {
    CachedDevice device = builder(source).open();
    BackgroundFill fill = device.fill(1, 1);
    while (device.statistics().presentBytes() == 0) {
      Thread.onSpinWait();
    }

    device.close();

    assertThat(fill.await()).isFalse();
  }

  @Test
  void cancelled_endsThoughTheRateWouldHaveItWaitForHours() throws Exception {
    try (CachedDevice device = builder(source).open()) {
      BackgroundFill fill = device.fill(1, 1);
      fill.cancel();

      assertThat(fill.await()).isFalse();
      assertThat(device.statistics().presentBytes()).isLessThan(SIZE);
    }
  }

  @Test
  void sourceThatIsDown_isAskedAgain() throws Exception {
    source.failNext(new SourceUnavailableException("down"), new SourceUnavailableException("down"));
    try (CachedDevice device = builder(source).open()) {
      assertThat(device.fill(Long.MAX_VALUE, 1).await()).isTrue();
    }
  }

  @Test
  void fullVolume_isWaitedForAndNotAllFetchedForNothing() throws Exception {
    guard.expectWarnings("No space left on device");
    try (CachedDevice device = builder(source).open()) {
      storage.failAlways(step -> step.equals("write c"), FaultStorage.Fault.ENOSPC);
      BackgroundFill fill = device.fill(Long.MAX_VALUE, 1);
      while (device.statistics().passThroughBytes() < 1 << 20) {
        Thread.onSpinWait();
      }
      CompletableFuture<Boolean> end =
          CompletableFuture.supplyAsync(
              () -> {
                try {
                  return fill.await();
                } catch (IOException | InterruptedException e) {
                  throw new IllegalStateException(e);
                }
              });
      assertThat(source.bytesDelivered()).isLessThan(SIZE / 2);
      assertThat(end).isNotDone();

      storage.heal();

      assertThat(end.get()).isTrue();
    }
  }

  @Test
  void boundedCache_zeroesTakeNoRoom() throws Exception {
    java.util.Arrays.fill(image, 1 << 20, SIZE, (byte) 0);
    try (CachedDevice device = builder(new MemorySource(image)).maxCacheBytes(2 << 20).open()) {
      assertThat(device.fill(Long.MAX_VALUE, 2).await()).isTrue();
    }
  }

  @Test
  void boundedCache_ofTheSmallestSize_isFilledToo() throws Exception {
    try (CachedDevice device = builder(source).maxCacheBytes(1 << 20).open()) {
      assertThat(device.fill(Long.MAX_VALUE, 1).await()).isFalse();

      assertThat(device.statistics().presentBytes()).isBetween(1L << 19, 1L << 20);
    }
  }

  @Test
  void boundedCache_isFilledAndNothingPushedOut() throws Exception {
    try (CachedDevice device = builder(source).maxCacheBytes(4 << 20).open()) {
      // All of the fetch: the rest of a longer one lands later, and may evict what is filled.
      device.read(8 << 20, ByteBuffer.allocate(SIZE - (8 << 20)));

      assertThat(device.fill(Long.MAX_VALUE, 1).await()).isFalse();

      long highMark = (4L << 20) / 100 * 95; // beyond it the evictor comes
      assertThat(device.statistics().presentBytes()).isBetween(2L << 20, highMark);
      assertThat(device.presentBytes(8 << 20, SIZE - (8 << 20))).isEqualTo(SIZE - (8 << 20));
      assertThat(device.statistics().evictedBytes()).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {Long.MAX_VALUE, 9 << 20})
  void sourceThatFailsOnce_isAskedAgain(long limit) throws Exception {
    source.failNext(new SourceProtocolException("once"));
    try (CachedDevice device = builder(source).maxCacheBytes(limit).open()) {
      assertThat(device.fill(Long.MAX_VALUE, 1).await()).isTrue();
    }
  }

  /** Who joins a piece that turns out to be bad elsewhere. */
  @ParameterizedTest
  @ValueSource(longs = {Long.MAX_VALUE, 4 << 20})
  void badSpot_failsNoReaderOfTheRestOfThePiece(long limit) throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch joined = new CountDownLatch(1);
    ForwardingSource bad =
        new ForwardingSource(source) {
          @Override
          public void read(long offset, long length, ReadSink sink) throws IOException {
            if (offset <= 900_000 && 900_000 < offset + length) {
              asked.countDown();
              BlockingRead.awaitUninterruptibly(joined);
              throw new SourceProtocolException("a bad spot");
            }
            super.read(offset, length, sink);
          }
        };
    try (CachedDevice device = builder(bad).maxCacheBytes(limit).open()) {
      BackgroundFill fill = device.fill(Long.MAX_VALUE, 1);
      asked.await();
      ByteBuffer dst = ByteBuffer.allocate(4096);
      CompletableFuture<Throwable> end = new CompletableFuture<>();
      device.readAsync(4096, dst, end::complete);
      joined.countDown();

      assertThat(end.get()).isNull();
      assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, 4096, 4096))).isEqualTo(-1);
      assertThatThrownBy(fill::await).hasMessageContaining("a bad spot");
    }
  }
}
