/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.MemorySource;
import io.uloop.SourceProtocolException;
import io.uloop.SourceUnavailableException;
import io.uloop.TestSeed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Readers that meet: at one block, at a failure, at a close. */
@Timeout(60)
class ConcurrencyTest {

  private static final int SIZE = 8 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("ConcurrencyTest");
  private final byte[] image = new byte[SIZE];
  private MemorySource source;

  @BeforeEach
  void fill() {
    random.nextBytes(image);
    source = new MemorySource(image);
  }

  private CachedDevice.Builder builder(BlockSource over) {
    return CachedDevice.builder(over)
        .pair(new CachePair(dir.resolve("c"), dir.resolve("b")))
        .readAheadMaxBytes(0);
  }

  private void assertRight(ByteBuffer filled, int offset) {
    filled.flip();
    assertThat(filled.mismatch(ByteBuffer.wrap(image, offset, filled.remaining()))).isEqualTo(-1);
  }

  @Test
  void oneBlock_readByThirtyTwoThreadsAtOnce_isFetchedOnce() throws Exception {
    try (CachedDevice device = builder(source).open()) {
      source.hold();
      CountDownLatch started = new CountDownLatch(32);
      ExecutorService threads = Executors.newFixedThreadPool(32);
      List<Future<ByteBuffer>> reads = new ArrayList<>();
      for (int t = 0; t < 32; t++) {
        reads.add(
            threads.submit(
                () -> {
                  ByteBuffer dst = ByteBuffer.allocate(100_000);
                  started.countDown();
                  device.read(4096, dst);
                  return dst;
                }));
      }
      started.await();
      source.awaitHeld(1);
      source.release();
      for (Future<ByteBuffer> read : reads) {
        assertRight(read.get(), 4096);
      }
      threads.shutdown();
      for (int offset = 4096; offset < 104_096; offset += 512) {
        assertThat(source.timesRead(offset)).isEqualTo(1);
      }
    }
  }

  @Test
  void oneRange_readByEightColdReadersAtOnce_costsTheOriginTheRangeAndNoMore() throws Exception {
    int from = 1 << 20;
    int length = 4 << 20;
    try (CachedDevice device = builder(source).open()) {
      CountDownLatch started = new CountDownLatch(8);
      ExecutorService threads = Executors.newFixedThreadPool(8);
      List<Future<?>> all = new ArrayList<>();
      for (int t = 0; t < 8; t++) {
        all.add(
            threads.submit(
                () -> {
                  started.countDown();
                  started.await();
                  // As a copying program reads: one piece after the other.
                  for (int offset = from; offset < from + length; offset += 128 * 1024) {
                    ByteBuffer dst = ByteBuffer.allocate(128 * 1024);
                    device.read(offset, dst);
                    assertRight(dst, offset);
                  }
                  return null;
                }));
      }
      threads.shutdown();
      for (Future<?> each : all) {
        each.get();
      }
      assertThat(source.bytesDelivered()).isEqualTo(length);
      assertThat(device.statistics().bytesFetched()).isEqualTo(length);
      for (int offset = from; offset < from + length; offset += 4096) {
        assertThat(source.timesRead(offset)).isEqualTo(1);
      }
    }
  }

  @Test
  void waiter_whoseBytesHaveLanded_isWokenBeforeTheFetchEnds() throws Exception {
    source.pieceBytes(4096);
    try (CachedDevice device = builder(source).fetchBytes(1 << 20).open()) {
      source.hold();
      ByteBuffer first = ByteBuffer.allocate(8192);
      CompletableFuture<ByteBuffer> begun = device.readAsync(0, first);
      source.awaitHeld(1);
      ByteBuffer last = ByteBuffer.allocate(4096);
      CompletableFuture<ByteBuffer> joined = device.readAsync((1 << 20) - 4096, last);

      source.allow(8192);

      assertRight(begun.get(), 0);
      assertThat(joined).isNotDone();
      assertThat(source.reads()).hasSize(1);
      source.release();
      assertRight(joined.get(), (1 << 20) - 4096);
      assertThat(device.statistics().joins()).isEqualTo(1);
    }
  }

  @Test
  void fetch_thatFails_wakesAllWithTheSameCauseAndLeavesTheBlocksAbsent() throws Exception {
    try (CachedDevice device = builder(source).open()) {
      source.hold();
      List<CompletableFuture<ByteBuffer>> reads = new ArrayList<>();
      for (int i = 0; i < 10; i++) {
        reads.add(device.readAsync(i * 4096L, ByteBuffer.allocate(4096)));
      }
      source.awaitHeld(1);
      SourceUnavailableException cause = new SourceUnavailableException("memory: is down");
      source.failAll(cause);
      source.release();
      for (CompletableFuture<ByteBuffer> read : reads) {
        assertThatThrownBy(read::get)
            .isInstanceOf(ExecutionException.class)
            .hasCauseInstanceOf(SourceUnavailableException.class)
            .hasMessageContaining("memory: is down");
      }
      assertThat(device.presentBytes(0, 4096)).isZero();

      source.heal();

      ByteBuffer dst = ByteBuffer.allocate(65536);
      device.read(0, dst);
      assertRight(dst, 0);
    }
  }

  @Test
  void badSpot_elsewhereInTheFetchUnit_failsNoReadThatDoesNotNeedIt() throws Exception {
    BlockSource spotty =
        new ForwardingSource(source) {
          @Override
          public void read(long offset, long length, io.uloop.ReadSink sink) throws IOException {
            if (offset <= 50_000 && 50_000 < offset + length) {
              throw new SourceProtocolException("bad spot at 50000");
            }
            super.read(offset, length, sink);
          }
        };
    try (CachedDevice device = builder(spotty).open()) {
      CompletableFuture<ByteBuffer> bad = device.readAsync(49_152, ByteBuffer.allocate(4096));
      ByteBuffer dst = ByteBuffer.allocate(4096);
      device.read(0, dst);
      assertRight(dst, 0);
      assertThatThrownBy(bad::get).hasMessageContaining("bad spot at 50000");
    }
  }

  @Test
  void close_withReadsInFlight_endsThemAndLeavesNothing() throws Exception {
    CachedDevice device = builder(source).open();
    source.hold();
    List<CompletableFuture<ByteBuffer>> reads = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      reads.add(device.readAsync(random.nextInt(SIZE - 4096), ByteBuffer.allocate(4096)));
    }
    source.awaitHeld(1);

    device.close();

    for (CompletableFuture<ByteBuffer> read : reads) {
      assertThatThrownBy(read::get).hasCauseInstanceOf(ClosedChannelException.class);
    }
    assertThatThrownBy(() -> device.read(0, ByteBuffer.allocate(1)))
        .isInstanceOf(ClosedChannelException.class);
    assertThatThrownBy(device::flush).isInstanceOf(ClosedChannelException.class);
    assertThat(source.closes()).isPositive();
    device.close();
    guard.assertNothingLeft();
  }

  @Test
  void close_byTheCompletionsOfTheReadsThatItEnds_ends() throws Exception {
    CachedDevice device = builder(source).open();
    source.hold();
    CompletableFuture<Throwable> end = new CompletableFuture<>();
    device.readAsync(
        0,
        ByteBuffer.allocate(1),
        failure -> {
          try {
            device.close();
            end.complete(failure);
          } catch (IOException e) {
            end.completeExceptionally(e);
          }
        });
    source.awaitHeld(1);

    device.close();

    assertThat(end.get()).isInstanceOf(ClosedChannelException.class);
  }

  @Test
  void close_whileTheSourceIsBeingOpened_closesTheSource() throws Exception {
    try (CachedDevice device = builder(source).open()) {
      device.flush();
    }
    CountDownLatch opening = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    AtomicInteger opens = new AtomicInteger();
    MemorySource late = new MemorySource(image);
    SourceOpener opener =
        () -> {
          if (opens.getAndIncrement() == 0) {
            throw new SourceUnavailableException("memory: not yet");
          }
          opening.countDown();
          awaitQuietly(goOn);
          return late;
        };
    guard.expectWarnings("serving what is present");
    CachedDevice device =
        CachedDevice.builder(opener).pair(new CachePair(dir.resolve("c"), dir.resolve("b"))).open();
    CompletableFuture<ByteBuffer> read = device.readAsync(0, ByteBuffer.allocate(1));
    opening.await();
    Thread closer = new Thread(() -> closeQuietly(device));
    closer.start();
    assertThatThrownBy(read::get).hasCauseInstanceOf(ClosedChannelException.class);
    goOn.countDown();
    closer.join();
    guard.assertNothingLeft();
    assertThat(late.closes()).isPositive();
  }

  private static void awaitQuietly(CountDownLatch latch) throws IOException {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IOException(e);
    }
  }

  private static void closeQuietly(CachedDevice device) {
    try {
      device.close();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  void reader_thatMisbehaves_harmsNoOther() throws Exception {
    guard.expectWarnings("a read's completion failed");
    try (CachedDevice device = builder(source).open()) {
      source.hold();
      assertThatThrownBy(() -> device.read(0, ByteBuffer.allocate(9).asReadOnlyBuffer()))
          .isInstanceOf(java.nio.ReadOnlyBufferException.class);
      ByteBuffer shrunk = ByteBuffer.allocate(4096);
      CompletableFuture<ByteBuffer> own = device.readAsync(0, shrunk);
      device.readAsync(
          0,
          ByteBuffer.allocate(4096),
          failure -> {
            throw new IllegalStateException("a bug of the reader's");
          });
      ByteBuffer dst = ByteBuffer.allocate(4096);
      CompletableFuture<ByteBuffer> other = device.readAsync(0, dst);
      source.awaitHeld(1);
      shrunk.limit(10);
      source.release();

      assertRight(other.get(), 0);
      assertThatThrownBy(own::get).hasCauseInstanceOf(IndexOutOfBoundsException.class);
      assertThat(source.timesRead(0)).isEqualTo(1);
    }
  }

  @Test
  void prefetch_withIdleWorkers_wakesAllThatMayHelp() throws Exception {
    try (CachedDevice device = builder(source).open()) {
      source.hold();
      List<CompletableFuture<ByteBuffer>> reads = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        reads.add(device.readAsync(i << 20, ByteBuffer.allocate(1)));
      }
      source.awaitHeld(8);
      source.release();
      for (CompletableFuture<ByteBuffer> read : reads) {
        read.get();
      }
      source.hold();

      device.prefetch(0, SIZE);

      source.awaitHeld(6); // 8 workers, two of them kept for demand
      source.release();
    }
  }

  @Test
  void boundedCache_readByManyThreads_givesTheSourcesBytesAndStaysWithinItsLimit()
      throws Exception {
    long limit = 2 << 20;
    for (int round = 0; round < 3; round++) {
      source = new MemorySource(image);
      try (CachedDevice device =
          builder(source)
              .maxCacheBytes(limit)
              .commitInterval(Duration.ofMillis(5))
              .readAheadMaxBytes(256 * 1024)
              .open()) {
        do {
          long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1500);
          readUntil(device, end, Executors.newFixedThreadPool(8));
          device.flush();
        } while (device.statistics().evictedBytes() == 0);
        assertThat(device.statistics().healedBlocks()).isZero();
        assertThat(device.statistics().presentBytes()).isLessThanOrEqualTo(limit);
      }
    }
  }

  @Test
  void boundedCache_atTheSmallestLimit_goesOnStoring() throws Exception {
    try (CachedDevice device = builder(source).maxCacheBytes(1 << 20).open()) {
      for (int round = 0; round < 4; round++) {
        for (int offset = 0; offset < SIZE; offset += 1 << 19) {
          ByteBuffer dst = ByteBuffer.allocate(1 << 18);
          device.read(offset, dst);
          assertRight(dst, offset);
          device.flush();
        }
      }
      assertThat(device.statistics().evictedBytes()).isGreaterThan(SIZE / 2);
    }
  }

  private void readUntil(CachedDevice device, long end, ExecutorService threads) throws Exception {
    List<Future<?>> all = new ArrayList<>();
    for (int t = 0; t < 8; t++) {
      long seed = random.nextLong();
      all.add(
          threads.submit(
              () -> {
                Random own = new Random(seed);
                while (System.nanoTime() < end) {
                  int length = 1 + own.nextInt(own.nextInt(8) == 0 ? 300_000 : 9000);
                  int offset = own.nextInt(SIZE - length + 1);
                  ByteBuffer dst = ByteBuffer.allocate(length);
                  device.read(offset, dst);
                  assertRight(dst, offset);
                }
                return null;
              }));
    }
    threads.shutdown();
    for (Future<?> each : all) {
      each.get();
    }
  }

  @Test
  @EnabledForJreRange(min = JRE.JAVA_21)
  void virtualThreads_readAsOthersDo() throws Exception {
    ExecutorService virtual =
        (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
    try (CachedDevice device = builder(source).maxCacheBytes(4 << 20).open()) {
      readUntil(device, System.nanoTime() + TimeUnit.SECONDS.toNanos(1), virtual);
      AtomicReference<Throwable> thrown = new AtomicReference<>();
      source.hold();
      Thread waiting =
          (Thread)
              Thread.class
                  .getMethod("startVirtualThread", Runnable.class)
                  .invoke(
                      null,
                      (Runnable)
                          () -> {
                            try {
                              ByteBuffer all = ByteBuffer.allocate(SIZE);
                              device.read(0, all);
                            } catch (Throwable e) {
                              thrown.set(e);
                            }
                          });
      source.awaitHeld(1);
      waiting.interrupt();
      waiting.join();
      assertThat(thrown.get()).isInstanceOf(java.io.InterruptedIOException.class);
      source.release();
    }
  }
}
