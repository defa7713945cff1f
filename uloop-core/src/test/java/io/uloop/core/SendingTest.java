/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** Present bytes that go from the cache file to a channel, when the one or the other misbehaves. */
@Timeout(60)
class SendingTest {

  private static final int SIZE = 4 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[SIZE];
  private CachePair pair;

  @BeforeEach
  void fill() {
    TestSeed.random("SendingTest").nextBytes(image);
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice.Builder builder() {
    return CachedDevice.builder(new MemorySource(image)).pair(pair).readAheadMaxBytes(0);
  }

  private void assertRead(CachedDevice device, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, length))).isEqualTo(-1);
  }

  /** Takes bytes, but from the first call on only when it may. */
  private static final class Stuck implements WritableByteChannel {
    final CountDownLatch reached = new CountDownLatch(1);
    final CountDownLatch goOn = new CountDownLatch(1);
    final ByteArrayOutputStream taken = new ByteArrayOutputStream();

    @Override
    public int write(ByteBuffer src) throws IOException {
      reached.countDown();
      try {
        goOn.await();
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
      int length = src.remaining();
      Channels.newChannel(taken).write(src);
      return length;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  @Test
  void targetThatIsStuck_holdsUpNeitherEvictionsNorFlushes() throws Exception {
    try (CachedDevice device =
        builder().maxCacheBytes(1 << 20).commitInterval(Duration.ofMillis(5)).open()) {
      assertRead(device, 0, 65536);
      Stuck target = new Stuck();
      CompletableFuture<Long> sent = new CompletableFuture<>();
      Thread sender =
          new Thread(
              () -> {
                try {
                  sent.complete(device.transferTo(0, 65536, target));
                } catch (Throwable e) {
                  sent.completeExceptionally(e);
                }
              });
      sender.start();
      target.reached.await();

      for (int round = 0; round < 3; round++) {
        for (int offset = 65536; offset < SIZE; offset += 65536) {
          assertRead(device, offset, 65536);
          device.flush();
        }
      }
      assertThat(device.statistics().evictedBytes()).isGreaterThan(SIZE);
      assertThat(device.presentBytes(0, 4096)).as("the block that is being sent").isZero();

      target.goOn.countDown();
      assertThat(sent.get()).isPositive();
      assertThat(target.taken.toByteArray())
          .isEqualTo(java.util.Arrays.copyOf(image, sent.get().intValue()));
      sender.join();
      long before = device.statistics().evictedBytes();
      for (int offset = 65536; offset < SIZE; offset += 65536) {
        assertRead(device, offset, 65536);
        device.flush();
      }
      assertThat(device.statistics().evictedBytes()).isGreaterThan(before);
      assertRead(device, 0, 65536);
    }
  }

  @Test
  void socketThatIsNotRead_getsTheBytesThoughTheyAreEvictedMeanwhile() throws Exception {
    Path path = dir.resolve("s");
    MemorySource source = new MemorySource(image).pieceBytes(1 << 18);
    try (CachedDevice device =
            CachedDevice.builder(source)
                .pair(pair)
                .readAheadMaxBytes(0)
                .maxCacheBytes(1 << 20)
                .commitInterval(Duration.ofMillis(5))
                .open();
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      server.bind(UnixDomainSocketAddress.of(path));
      try (SocketChannel client = SocketChannel.open(UnixDomainSocketAddress.of(path));
          SocketChannel target = server.accept()) {
        target.configureBlocking(false);
        // As one piece of 256 KiB, so that regions that are evicted are parts of what is stored.
        assertRead(device, 0, 1 << 18);
        long sent = device.transferTo(0, 1 << 17, target);
        assertThat(sent).isPositive();

        for (int offset = 1 << 18; offset < SIZE; offset += 1 << 18) {
          assertRead(device, offset, 1 << 18);
          device.flush();
        }
        assertThat(device.presentBytes(0, 1)).isZero();

        ByteBuffer taken = ByteBuffer.allocate((int) sent);
        while (taken.hasRemaining()) {
          assertThat(client.read(taken)).isPositive();
        }
        assertThat(taken.flip().mismatch(ByteBuffer.wrap(image, 0, (int) sent))).isEqualTo(-1);
      }
    }
  }

  @Test
  void cacheFile_cutShort_sendsWhatIsThereAndThenSaysThatNothingIsPresent() throws Exception {
    guard.expectWarnings("fetched again", "until that is committed");
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, SIZE);
      try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
        file.setLength(1_000_000);
      }
      ByteArrayOutputStream sent = new ByteArrayOutputStream();
      WritableByteChannel target = Channels.newChannel(sent);
      for (long offset = 0; offset < SIZE; ) {
        long now = device.transferTo(offset, SIZE - offset, target);
        if (now == 0) {
          assertThat(device.presentBytes(offset, 1)).as("present at " + offset).isZero();
          assertRead(device, (int) offset, 4096 - (int) (offset % 4096));
          now = 4096 - offset % 4096;
          target.write(ByteBuffer.wrap(image, (int) offset, (int) now));
        }
        offset += now;
      }
      assertThat(sent.toByteArray()).isEqualTo(image);
      assertRead(device, 0, SIZE);
    }
  }

  @Test
  void cacheFile_cutShort_isNoticedBeforeAStoreMakesAHoleOfIt() throws Exception {
    guard.expectWarnings("fetched again", "until that is committed");
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, SIZE - (1 << 20));
      try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
        file.setLength(1 << 20);
      }

      assertRead(device, SIZE - 4096, 4096);

      assertThat(device.presentBytes(1 << 20, 1)).isZero();
      assertRead(device, 0, SIZE);
      assertThat(guard.warnings()).anyMatch(w -> w.contains("was cut to 1048576 bytes"));
    }
    try (CachedDevice device = builder().open()) {
      assertRead(device, 0, SIZE);
    }
  }

  @Test
  void cacheFile_cutShort_hasItsLengthAgainOnlyWhenTheBitsBeyondAreDurablyClear() throws Exception {
    guard.expectWarnings("fetched again", "until that is committed");
    try (CachedDevice device =
        builder().checksums(false).commitInterval(Duration.ofHours(1)).open()) {
      assertRead(device, 0, SIZE);
      device.flush();
      try (RandomAccessFile file = new RandomAccessFile(pair.cacheFile().toFile(), "rw")) {
        file.setLength(3 << 20);
        assertRead(device, 3 << 20, 65536);
        assertRead(device, 3 << 20, 65536);
        assertThat(file.length()).isEqualTo(3 << 20);
        file.setLength(1 << 20); // once more, before that is durable

        device.flush();
        assertThat(file.length()).isEqualTo(1 << 20);
        device.flush();
        assertThat(file.length()).isEqualTo(SIZE);
      }
      byte[] bits = Files.readAllBytes(pair.bitmapFile());
      for (int i = 0; i < SIZE / 4096 / 8; i++) {
        assertThat(bits[i])
            .as("bits of 8 blocks from " + i * 8)
            .isEqualTo((byte) (i < 32 ? -1 : 0));
      }
      while (device.presentBytes(3 << 20, 65536) < 65536) {
        assertRead(device, 3 << 20, 65536);
      }
    }
  }
}
