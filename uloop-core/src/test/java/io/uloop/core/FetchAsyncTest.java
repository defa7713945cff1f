/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Ranges that are brought in without a buffer, and sent from where they are. */
@Timeout(60)
class FetchAsyncTest {

  private static final int SIZE = (4 << 20) + 777;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[SIZE];
  private MemorySource source;

  @BeforeEach
  void fill() {
    TestSeed.random("FetchAsyncTest").nextBytes(image);
    Arrays.fill(image, 2 << 20, 3 << 20, (byte) 0);
    source = new MemorySource(image);
  }

  private CachedDevice.Builder builder() {
    CachePair pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
    return CachedDevice.builder(source).pair(pair).readAheadMaxBytes(0).fetchBytes(4096);
  }

  private static CompletableFuture<Void> fetch(CachedDevice device, long offset, long length) {
    CompletableFuture<Void> future = new CompletableFuture<>();
    boolean begun =
        device.fetchAsync(
            offset,
            length,
            failure -> {
              if (failure == null) {
                future.complete(null);
              } else {
                future.completeExceptionally(failure);
              }
            });
    assertThat(begun).isTrue();
    return future;
  }

  private void assertSent(CachedDevice device, int offset, int length) throws IOException {
    ByteArrayOutputStream taken = new ByteArrayOutputStream();
    for (int at = offset; at < offset + length; ) {
      long sent = device.transferFetched(at, offset + length - at, Channels.newChannel(taken));
      assertThat(sent).isPositive();
      at += (int) sent;
    }
    assertThat(
            ByteBuffer.wrap(taken.toByteArray()).mismatch(ByteBuffer.wrap(image, offset, length)))
        .isEqualTo(-1);
  }

  @Test
  void absent_isThereWhenToldAndCountedOnce() throws Exception {
    try (CachedDevice device = builder().open()) {
      fetch(device, 5000, 300_000).get();

      assertThat(device.presentBytes(5000, 300_000)).isEqualTo(300_000);
      assertSent(device, 5000, 300_000);
      assertThat(device.statistics().misses()).isEqualTo(1);
      assertThat(device.statistics().reads()).isEqualTo(1);
      assertThat(device.statistics().hits()).isZero();
      assertThat(device.statistics().bytesRead()).isEqualTo(300_000);
    }
  }

  @Test
  void endOfAnImageThatEndsWithinABlock_isThereAndSent() throws Exception {
    try (CachedDevice device = builder().open()) {
      fetch(device, SIZE - 100_000, 100_000).get();

      assertThat(device.presentBytes(SIZE - 100_000, 100_000)).isEqualTo(100_000);
      assertSent(device, SIZE - 100_000, 100_000);
    }
  }

  @Test
  void widenedFetchFails_isPlannedOnceMoreForItsOwnBlocks() throws Exception {
    source.failNext(new IOException("a bad spot elsewhere"));
    try (CachedDevice device = builder().fetchBytes(1 << 20).open()) {
      fetch(device, 300_000, 100_000).get();

      assertSent(device, 300_000, 100_000);
      assertThat(device.presentBytes(0, 1)).isZero();
    }
  }

  @Test
  void ofABackgroundFetch_isAwaitedAsDemand() throws Exception {
    source.parallelism(1).pieceBytes(4096);
    source.hold();
    try (CachedDevice device = builder().open()) {
      device.prefetch(0, 1 << 20);
      source.awaitHeld(1);
      CompletableFuture<Void> fetched = fetch(device, 524_288, 131_072);
      CompletableFuture<ByteBuffer> other = device.readAsync(3 << 20, ByteBuffer.allocate(4096));
      source.release();

      fetched.get();
      other.get();
      assertSent(device, 524_288, 131_072);
    }
  }

  @Test
  void present_isToldAtOnceAndCountedOnceAsHit() throws Exception {
    try (CachedDevice device = builder().open()) {
      device.read(0, ByteBuffer.allocate(200_000));
      CompletableFuture<Void> again = fetch(device, 0, 200_000);

      assertThat(again).isCompleted();
      assertSent(device, 0, 200_000);
      assertThat(device.statistics().hits()).isEqualTo(1);
      assertThat(device.statistics().reads()).isEqualTo(2);
      assertThat(source.bytesDelivered()).isLessThan(210_000);
    }
  }

  @Test
  void readersOfOneRange_withAndWithoutBuffer_shareTheFetch() throws Exception {
    source.hold();
    try (CachedDevice device = builder().open()) {
      CompletableFuture<Void> fetched = fetch(device, 0, 262_144);
      CompletableFuture<ByteBuffer> read = device.readAsync(0, ByteBuffer.allocate(262_144));
      source.awaitHeld(1);
      assertThat(fetched).isNotDone();
      source.release();

      fetched.get();
      assertThat(read.get().flip().mismatch(ByteBuffer.wrap(image, 0, 262_144))).isEqualTo(-1);
      assertSent(device, 0, 262_144);
      assertThat(source.bytesDelivered()).isEqualTo(262_144);
    }
  }

  @Test
  void sourceFails_isTold() throws Exception {
    source.failAll(new IOException("switched off"));
    try (CachedDevice device = builder().open()) {
      CompletableFuture<Void> fetched = fetch(device, 0, 100_000);

      assertThatThrownBy(fetched::get)
          .isInstanceOf(ExecutionException.class)
          .hasMessageContaining("switched off");
      assertThat(device.presentBytes(0, 1)).isZero();
    }
  }

  @Test
  void close_endsWhatWaits_andNothingIsBegunAfterIt() throws Exception {
    source.hold();
    CachedDevice device = builder().open();
    CompletableFuture<Void> fetched = fetch(device, 0, 100_000);
    source.awaitHeld(1);
    device.close();
    source.release();

    assertThatThrownBy(fetched::get).hasCauseInstanceOf(ClosedChannelException.class);
    assertThat(device.fetchAsync(0, 4096, failure -> {})).isFalse();
    assertThatThrownBy(
            () -> device.transferFetched(0, 1, Channels.newChannel(new ByteArrayOutputStream())))
        .isInstanceOf(ClosedChannelException.class);
  }

  @Test
  void badRange_isRefused() throws Exception {
    try (CachedDevice device = builder().open()) {
      assertThatThrownBy(() -> device.fetchAsync(SIZE - 1, 2, failure -> {}))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThat(device.fetchAsync(0, 0, failure -> {})).isFalse();
    }
  }

  @Test
  void boundedCache_doesNotPromise() throws Exception {
    try (CachedDevice device = builder().maxCacheBytes(1 << 20).open()) {
      assertThat(device.fetchAsync(0, 100_000, failure -> {})).isFalse();
      assertThat(device.statistics().reads()).isZero();
    }
  }

  @Test
  void volumeDoesNotTakeIt_isToldWithNothingThere_thenNotPromised() throws Exception {
    guard.expectWarnings("reads pass through to the source");
    FaultStorage faulty = new FaultStorage(new LocalStorage());
    try (CachedDevice device = builder().storage(faulty).open()) {
      faulty.failAlways(step -> step.startsWith("write c"), FaultStorage.Fault.ENOSPC);
      fetch(device, 0, 100_000).get();

      assertThat(device.presentBytes(0, 100_000)).isZero();
      assertThat(device.fetchAsync(0, 100_000, failure -> {})).isFalse();
      // Zeroes need no room, so they say nothing of it.
      while (device.presentBytes(2 << 20, 65_536) < 65_536) {
        device.read(2 << 20, ByteBuffer.allocate(65_536));
      }
      assertThat(device.fetchAsync(0, 100_000, failure -> {})).isFalse();
      ByteBuffer dst = ByteBuffer.allocate(100_000);
      device.read(0, dst);
      assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, 0, 100_000))).isEqualTo(-1);
      faulty.heal();
      while (device.presentBytes(0, 100_000) < 100_000) {
        device.read(0, dst.clear());
      }
      fetch(device, 200_000, 100_000).get();
      assertSent(device, 200_000, 100_000);
    }
  }
}
