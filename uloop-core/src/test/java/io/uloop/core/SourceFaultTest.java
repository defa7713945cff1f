/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.ByteRange;
import io.uloop.CacheInUseException;
import io.uloop.Extent;
import io.uloop.MemorySource;
import io.uloop.PatternSource;
import io.uloop.ReadSink;
import io.uloop.SourceChangedException;
import io.uloop.SourceIdentity;
import io.uloop.SourceProtocolException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Sources that do what a source must not, or what its interface leaves open: a reader gets the
 * source's bytes or an exception, and the device goes on.
 */
@Timeout(value = 60, threadMode = ThreadMode.SEPARATE_THREAD)
class SourceFaultTest {

  private static final int SIZE = 1 << 20;
  private static final int BLOCK = 4096;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private CachePair pair;

  @BeforeEach
  void name() {
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  /** Three methods, as the interface wants them, and the bytes of a pattern. */
  private static class Plain implements BlockSource {
    final AtomicInteger closes = new AtomicInteger();

    @Override
    public long size() {
      return SIZE;
    }

    @Override
    public SourceIdentity identity() {
      return new SourceIdentity("plain:", SIZE, Optional.empty());
    }

    @Override
    public void read(long offset, ByteBuffer dst) throws IOException {
      dst.put(PatternSource.bytes(offset, dst.remaining()));
    }

    @Override
    public void close() throws IOException {
      closes.incrementAndGet();
    }
  }

  private CachedDevice open(BlockSource source) throws IOException {
    return CachedDevice.builder(source).pair(pair).readAheadMaxBytes(0).fetchBytes(BLOCK).open();
  }

  private CachedDevice open(SourceOpener opener) throws IOException {
    return CachedDevice.builder(opener).pair(pair).readAheadMaxBytes(0).fetchBytes(BLOCK).open();
  }

  private static void assertRead(CachedDevice device, long offset) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(BLOCK);
    device.read(offset, dst);
    assertThat(dst.array()).isEqualTo(PatternSource.bytes(offset, BLOCK));
  }

  /** Throws anything, as languages do that do not declare it. */
  @SuppressWarnings("unchecked")
  private static <E extends Throwable> void sneak(Throwable any) throws E {
    throw (E) any;
  }

  // ---- how many reads at once

  @Test
  void sourceThatComesLater_isReadByNoMoreAtOnceThanItAllows() throws Exception {
    open(new Plain()).close();
    guard.expectWarnings("serving what is present");
    AtomicInteger opens = new AtomicInteger();
    AtomicInteger reading = new AtomicInteger();
    AtomicInteger most = new AtomicInteger();
    Plain late =
        new Plain() {
          private long at; // of all who read

          @Override
          public void read(long offset, ByteBuffer dst) throws IOException {
            most.accumulateAndGet(reading.incrementAndGet(), Math::max);
            at = offset;
            while (dst.hasRemaining()) {
              dst.put(PatternSource.bytes(at, 512));
              at += 512;
              Thread.yield();
            }
            reading.decrementAndGet();
          }
        };
    CountDownLatch allAsked = new CountDownLatch(1);
    SourceOpener opener =
        () -> {
          if (opens.getAndIncrement() == 0) {
            throw new SourceUnavailableException("down");
          }
          BlockingRead.awaitUninterruptibly(allAsked); // so that all workers wait for it
          return late;
        };
    try (CachedDevice device = open(opener)) {
      List<CompletableFuture<ByteBuffer>> reads = new ArrayList<>();
      for (int offset = 0; offset < SIZE; offset += SIZE / 16) {
        reads.add(device.readAsync(offset, ByteBuffer.allocate(BLOCK)));
      }
      allAsked.countDown();
      for (int i = 0; i < reads.size(); i++) {
        assertThat(reads.get(i).get().array())
            .isEqualTo(PatternSource.bytes((long) i * (SIZE / 16), BLOCK));
      }
      assertThat(most).hasValue(1);
      assertThat(device.statistics().fetches()).isEqualTo(16);
    }
  }

  @Test
  void sourceThatComesLater_isReadByAsManyAtOnceAsItAllows() throws Exception {
    open(new Plain()).close();
    guard.expectWarnings("serving what is present");
    AtomicInteger opens = new AtomicInteger();
    CountDownLatch reading = new CountDownLatch(12);
    Plain late =
        new Plain() {
          @Override
          public int parallelism() {
            return 12;
          }

          @Override
          public void read(long offset, ByteBuffer dst) throws IOException {
            reading.countDown();
            BlockingRead.awaitUninterruptibly(reading);
            super.read(offset, dst);
          }
        };
    SourceOpener opener =
        () -> {
          if (opens.getAndIncrement() == 0) {
            throw new SourceUnavailableException("down");
          }
          return late;
        };
    try (CachedDevice device = open(opener)) {
      List<CompletableFuture<ByteBuffer>> reads = new ArrayList<>();
      for (int offset = 0; offset < SIZE; offset += SIZE / 16) {
        reads.add(device.readAsync(offset, ByteBuffer.allocate(BLOCK)));
      }
      for (CompletableFuture<ByteBuffer> read : reads) {
        read.get();
      }
    }
  }

  // ---- bytes that are not what was asked for

  @Test
  void sinkOfAReadThatHasEnded_takesNothing() throws Exception {
    AtomicReference<ReadSink> kept = new AtomicReference<>();
    AtomicReference<Throwable> refusal = new AtomicReference<>();
    Plain source =
        new Plain() {
          @Override
          public void read(long offset, long length, ReadSink sink) throws IOException {
            if (kept.compareAndSet(null, sink)) {
              throw new SourceUnavailableException("timed out");
            }
            try {
              kept.get().accept(ByteBuffer.wrap(PatternSource.bytes(0, BLOCK)));
            } catch (IOException e) {
              refusal.set(e);
            }
            super.read(offset, length, sink);
          }
        };
    try (CachedDevice device = open(source)) {
      assertThatThrownBy(() -> assertRead(device, 0)).hasMessageContaining("timed out");

      assertRead(device, SIZE / 2);

      assertThat(refusal.get()).hasMessageContaining("has ended");
      assertRead(device, 0);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"none", "later", "empty", "before"})
  void extentsThatDoNotBeginWhereAsked_areRefused(String kind) throws Exception {
    Plain source =
        new Plain() {
          @Override
          public List<Extent> extents(long offset, long length) {
            return switch (kind) {
              case "none" -> List.of();
              case "later" -> List.of(new Extent(new ByteRange(offset + 512, SIZE), true, true));
              case "empty" -> List.of(new Extent(new ByteRange(offset, offset), true, false));
              default -> List.of(new Extent(new ByteRange(0, SIZE), true, true));
            };
          }
        };
    try (CachedDevice device = open(source)) {
      assertThatThrownBy(() -> assertRead(device, SIZE / 2))
          .isInstanceOf(SourceProtocolException.class)
          .hasMessageContaining("plain:: gave extents of [524288, ");
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void bufferThatIsNotFilled_isRefused(boolean flipped) throws Exception {
    Plain source =
        new Plain() {
          @Override
          public void read(long offset, ByteBuffer dst) throws IOException {
            if (flipped) {
              super.read(offset, dst);
              dst.flip();
            }
          }
        };
    try (CachedDevice device = open(source)) {
      assertThatThrownBy(() -> assertRead(device, 0))
          .isInstanceOf(SourceProtocolException.class)
          .hasMessageContaining("plain:: filled 0 of ");
    }
  }

  // ---- whatever they throw

  @Test
  void readThatThrowsWhatItMustNot_failsItsReaderAndNoOther() throws Exception {
    AtomicInteger reads = new AtomicInteger();
    Plain source =
        new Plain() {
          @Override
          public void read(long offset, ByteBuffer dst) throws IOException {
            switch (reads.getAndIncrement() / 2) { // each is asked for once more, for less
              case 0 -> SourceFaultTest.<RuntimeException>sneak(new InterruptedException("odd"));
              case 1 -> throw new IndexOutOfBoundsException("not the reader's");
              default -> super.read(offset, dst);
            }
          }
        };
    try (CachedDevice device = open(source)) {
      assertThatThrownBy(() -> assertRead(device, 0))
          .isInstanceOf(SourceProtocolException.class)
          .hasMessageContaining("plain:: java.lang.InterruptedException: odd");
      assertThatThrownBy(() -> device.readAsync(0, ByteBuffer.allocate(1)).get())
          .hasCauseInstanceOf(SourceProtocolException.class)
          .hasMessageContaining("not the reader's");
      assertRead(device, 0);
    }
  }

  @Test
  void openerThatThrowsWhatItMustNot_failsTheReader() throws Exception {
    open(new Plain()).close();
    guard.expectWarnings("serving what is present");
    AtomicInteger opens = new AtomicInteger();
    SourceOpener opener =
        () -> {
          switch (opens.getAndIncrement()) {
            case 0 -> throw new SourceUnavailableException("down");
            case 1, 2 -> SourceFaultTest.<RuntimeException>sneak(new Exception("odd"));
            default -> {}
          }
          return new Plain();
        };
    try (CachedDevice device = open(opener)) {
      assertThatThrownBy(() -> assertRead(device, 0)).hasMessageContaining("odd");
      assertRead(device, 0);
    }
  }

  @Test
  void completionThatThrowsWhatItMustNot_costsNobodyElse() throws Exception {
    guard.expectWarnings("completion failed");
    MemorySource source = new MemorySource(new byte[SIZE]);
    source.hold();
    try (CachedDevice device = open(source)) {
      device.readAsync(
          0,
          ByteBuffer.allocate(BLOCK),
          failure -> SourceFaultTest.<RuntimeException>sneak(new Exception("odd")));
      CompletableFuture<ByteBuffer> other = device.readAsync(0, ByteBuffer.allocate(BLOCK));
      source.release();

      other.get();
    }
  }

  @Test
  void closeAndAbortThatThrowWhatTheyMustNot_leaveNothingOpen() throws Exception {
    CountDownLatch reading = new CountDownLatch(1);
    CountDownLatch aborted = new CountDownLatch(1);
    Plain source =
        new Plain() {
          @Override
          public void read(long offset, long length, ReadSink sink) throws IOException {
            sink.onCancel(
                () -> {
                  aborted.countDown();
                  SourceFaultTest.<RuntimeException>sneak(new Exception("odd abort"));
                });
            reading.countDown();
            BlockingRead.awaitUninterruptibly(aborted);
            throw new ClosedChannelException();
          }

          @Override
          public void close() throws IOException {
            super.close();
            SourceFaultTest.<RuntimeException>sneak(new Exception("odd close"));
          }
        };
    CachedDevice device = open(source);
    CompletableFuture<ByteBuffer> read = device.readAsync(0, ByteBuffer.allocate(1));
    reading.await();

    assertThatThrownBy(device::close)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("odd abort");

    assertThat(read).isCompletedExceptionally();
    assertThat(source.closes).hasPositiveValue();
    open(new Plain()).close();
  }

  @Test
  void abort_ofACancelledFetchWhoseDeviceIsClosed_runsOnce() throws Exception {
    CountDownLatch prefetching = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    CountDownLatch told = new CountDownLatch(1);
    CountDownLatch closed = new CountDownLatch(1);
    AtomicInteger aborts = new AtomicInteger();
    Plain source =
        new Plain() {
          @Override
          public void read(long offset, long length, ReadSink sink) throws IOException {
            prefetching.countDown();
            BlockingRead.awaitUninterruptibly(goOn);
            sink.onCancel(aborts::incrementAndGet);
            told.countDown();
            BlockingRead.awaitUninterruptibly(closed);
            throw new ClosedChannelException();
          }

          @Override
          public void close() throws IOException {
            super.close();
            closed.countDown();
          }
        };
    CachedDevice device = open(source);
    device.prefetch(0, SIZE / 2);
    prefetching.await();
    CompletableFuture<ByteBuffer> demand =
        device.readAsync(SIZE - BLOCK, ByteBuffer.allocate(BLOCK));
    goOn.countDown();
    told.await();
    device.close();

    assertThat(aborts).hasValue(1);
    assertThat(demand).isCompletedExceptionally();
  }

  /** The guard finds a warning if the close waits for who waits for it. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void completionThatCloses_onAThreadOfTheSource_waitsForNobody(boolean anotherCloses)
      throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch completing = new CountDownLatch(1);
    CountDownLatch closed = new CountDownLatch(1);
    Plain source =
        new Plain() {
          @Override
          public void read(long offset, long length, ReadSink sink) throws IOException {
            Thread giver =
                new Thread(
                    () -> {
                      BlockingRead.awaitUninterruptibly(asked); // or who asks may complete it
                      try {
                        sink.accept(ByteBuffer.wrap(PatternSource.bytes(offset, (int) length)));
                      } catch (IOException e) {
                        throw new AssertionError(e);
                      }
                    });
            giver.start();
            BlockingRead.awaitUninterruptibly(closed);
            throw new ClosedChannelException();
          }

          @Override
          public void close() throws IOException {
            super.close();
            closed.countDown();
          }
        };
    CachedDevice device = open(source);
    CompletableFuture<Throwable> end = new CompletableFuture<>();
    device.readAsync(
        0,
        ByteBuffer.allocate(BLOCK),
        failure -> {
          try {
            completing.countDown();
            if (anotherCloses) {
              BlockingRead.awaitUninterruptibly(closed);
            }
            device.close();
            end.complete(failure);
          } catch (IOException e) {
            end.completeExceptionally(e);
          }
        });
    asked.countDown();
    if (anotherCloses) {
      completing.await();
      device.close();
    }

    end.get();
    device.close();
  }

  // ---- who closes them

  @Test
  void sourceThatIsGiven_isClosedThoughItIsNeverAsked() throws Exception {
    Plain offline = new Plain();
    CachedDevice.builder(offline).pair(pair).offline(true).open().close();
    Plain alone = new Plain();
    assertThatThrownBy(() -> CachedDevice.builder(alone).open())
        .isInstanceOf(IllegalStateException.class);

    assertThat(offline.closes).hasPositiveValue();
    assertThat(alone.closes).hasPositiveValue();
  }

  @Test
  void sourceWhoseIdentityFails_isClosed() throws Exception {
    open(new Plain()).close();
    guard.expectWarnings("serving what is present");
    List<Plain> opened = new ArrayList<>();
    SourceOpener opener =
        () -> {
          if (opened.isEmpty()) {
            opened.add(new Plain());
            throw new SourceUnavailableException("down");
          }
          Plain nameless =
              new Plain() {
                @Override
                public SourceIdentity identity() {
                  throw new IllegalStateException("who am I");
                }
              };
          opened.add(nameless);
          return nameless;
        };
    try (CachedDevice device = open(opener)) {
      assertThatThrownBy(() -> assertRead(device, 0)).hasMessageContaining("who am I");
    }
    opened.remove(0);
    assertThat(opened).isNotEmpty().allMatch(source -> source.closes.get() > 0);
  }

  /** A source whose close always fails. */
  private static class Unclosable extends Plain {
    @Override
    public void close() throws IOException {
      super.close();
      throw new IOException("close failed");
    }
  }

  @Test
  void closeThatFails_doesNotHideWhatWentWrongBefore() throws Exception {
    try (CachedDevice device = open(new Plain())) {
      assertThatThrownBy(() -> open(new Unclosable()))
          .isInstanceOf(CacheInUseException.class)
          .hasSuppressedException(new IOException("close failed"));
      assertRead(device, 0);
    }
    guard.expectWarnings("serving what is present", "has changed");
    AtomicInteger opens = new AtomicInteger();
    SourceOpener opener =
        () -> {
          if (opens.getAndIncrement() == 0) {
            throw new SourceUnavailableException("down");
          }
          return new Unclosable() {
            @Override
            public SourceIdentity identity() {
              return new SourceIdentity("another:", SIZE, Optional.empty());
            }
          };
        };
    try (CachedDevice device = open(opener)) {
      for (int i = 0; i < 2; i++) {
        assertThatThrownBy(() -> assertRead(device, SIZE / 2))
            .isInstanceOf(SourceChangedException.class);
      }
      assertThat(opens).as("once it is known").hasValue(2);
      assertRead(device, 0);
    }
  }
}
