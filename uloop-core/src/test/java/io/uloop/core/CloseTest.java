/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uloop.MemorySource;
import io.uloop.SourceUnavailableException;
import io.uloop.TestSeed;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is left of a device after its close, also for those who read meanwhile. */
@Timeout(60)
class CloseTest {

  private static final int SIZE = 3 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("CloseTest");
  private final byte[] image = new byte[SIZE];
  private CachePair pair;

  @BeforeEach
  void fill() {
    random.nextBytes(image);
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice open() throws Exception {
    return CachedDevice.builder(new MemorySource(image)).pair(pair).open();
  }

  private boolean isMapped() throws Exception {
    try (var lines = Files.lines(Path.of("/proc/self/maps"))) {
      return lines.anyMatch(line -> line.contains(dir.toString()));
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void cacheFile_afterTheClose_isNotMapped() throws Exception {
    assumeTrue(LibC.loadsQuietly(), "the JVM has --enable-native-access");
    CachedDevice device = open();
    device.read(0, ByteBuffer.allocate(SIZE));
    device.read(0, ByteBuffer.allocate(SIZE));
    assertThat(isMapped()).isTrue();

    device.close();

    assertThat(isMapped()).isFalse();
    System.gc(); // the buffers' own cleaning must find nothing amiss
  }

  @Test
  void close_whileTheSourceIsBeingOpened_waitsForNobodyAndLeavesTheirPairWhole() throws Exception {
    try (CachedDevice device = open()) {
      device.read(0, ByteBuffer.allocate(4096));
    }
    guard.expectWarnings("serving what is present");
    CountDownLatch opening = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    AtomicInteger opens = new AtomicInteger();
    CachedDevice device =
        CachedDevice.builder(
                () -> {
                  if (opens.getAndIncrement() > 0) {
                    opening.countDown();
                    awaitUninterruptibly(goOn);
                  }
                  throw new SourceUnavailableException("down");
                })
            .pair(pair)
            .open();
    CompletableFuture<ByteBuffer> read = device.readAsync(1 << 20, ByteBuffer.allocate(4096));
    opening.await();

    device.close(); // without an exception, though the opener does not come back

    assertThat(read).isCompletedExceptionally();
    assertThat(Files.readString(pair.sidecarFile())).doesNotContain("bitmap open");
    goOn.countDown();
  }

  private static void awaitUninterruptibly(CountDownLatch latch) {
    BlockingRead.awaitUninterruptibly(latch);
  }

  @Test
  void completionThatThrowsAnError_costsNobodyElseTheirRead() throws Exception {
    MemorySource source = new MemorySource(image);
    source.hold();
    try (CachedDevice device = CachedDevice.builder(source).pair(pair).open()) {
      device.readAsync(
          0,
          ByteBuffer.allocate(4096),
          failure -> {
            throw new AssertionError("a completion's own fault");
          });
      CompletableFuture<ByteBuffer> other = device.readAsync(0, ByteBuffer.allocate(4096));
      guard.expectWarnings("completion failed");
      source.release();

      assertThat(other.get().flip()).isEqualTo(ByteBuffer.wrap(image, 0, 4096));
    }
  }

  @Test
  void close_underManyReadersOfPresentBlocks_givesThemRightBytesOrItsException() throws Exception {
    for (int round = 0; round < 40; round++) {
      CachedDevice device = open();
      device.read(0, ByteBuffer.allocate(SIZE));
      int readers = 4;
      CountDownLatch reading = new CountDownLatch(readers);
      ExecutorService threads = Executors.newFixedThreadPool(readers);
      List<Future<?>> all = new ArrayList<>();
      for (int t = 0; t < readers; t++) {
        long seed = random.nextLong();
        all.add(
            threads.submit(
                () -> {
                  Random own = new Random(seed);
                  for (boolean first = true; ; first = false) {
                    int length = 1 + own.nextInt(200_000);
                    int offset = own.nextInt(SIZE - length);
                    ByteBuffer dst = ByteBuffer.allocate(length);
                    try {
                      device.read(offset, dst);
                    } catch (ClosedChannelException e) {
                      return null;
                    }
                    if (dst.flip().mismatch(ByteBuffer.wrap(image, offset, length)) != -1) {
                      throw new AssertionError("wrong bytes at " + offset);
                    }
                    if (first) {
                      reading.countDown();
                    }
                  }
                }));
      }
      reading.await();

      device.close();

      threads.shutdown();
      for (Future<?> each : all) {
        each.get();
      }
    }
  }

  private static void closeQuietly(CachedDevice device) {
    try {
      device.close();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"read b.crc", "map c", "read c"})
  void close_atAnyStepOfAFirstRead_isNoFaultOfTheCache(String step) throws Exception {
    try (CachedDevice device = open()) {
      device.read(0, ByteBuffer.allocate(SIZE));
    }
    FaultStorage storage = new FaultStorage(new LocalStorage());
    if (step.equals("read c")) {
      storage.unmappable();
    }
    CachedDevice device =
        CachedDevice.builder(new MemorySource(image)).pair(pair).storage(storage).open();
    storage.before(step, () -> closeQuietly(device));

    assertThatThrownBy(() -> device.read(0, ByteBuffer.allocate(4096)))
        .isInstanceOf(ClosedChannelException.class);
    assertThat(device.statistics().healedBlocks()).isZero();
    assertThat(device.statistics().presentBytes()).isEqualTo(SIZE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"read b.crc", "map c"})
  void close_atAnyStepOfAVerification_isNoFaultOfTheCache(String step) throws Exception {
    try (CachedDevice device = open()) {
      device.read(0, ByteBuffer.allocate(SIZE));
    }
    FaultStorage storage = new FaultStorage(new LocalStorage());
    CachedDevice device =
        CachedDevice.builder(new MemorySource(image)).pair(pair).storage(storage).open();
    storage.before(step, () -> closeQuietly(device));

    assertThatThrownBy(device::verify).isInstanceOf(ClosedChannelException.class);
    assertThat(device.statistics().healedBlocks()).isZero();
  }

  @Test
  void close_atAnyStepOfATransfer_isNoFaultOfTheCache() throws Exception {
    for (String step : new String[] {"transferTo c", "size c"}) {
      FaultStorage storage = new FaultStorage(new LocalStorage());
      CachedDevice device =
          CachedDevice.builder(new MemorySource(image)).pair(pair).storage(storage).open();
      device.read(0, ByteBuffer.allocate(SIZE));
      storage.before(step, () -> closeQuietly(device));

      assertThatThrownBy(() -> device.transferTo(0, 4096, new FullChannel()))
          .isInstanceOf(ClosedChannelException.class);
      assertThat(device.statistics().healedBlocks()).isZero();
    }
  }

  /** Takes nothing. */
  private static final class FullChannel implements WritableByteChannel {
    @Override
    public int write(ByteBuffer src) {
      return 0;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  /** A source whose close takes as long as a test wants. */
  private final class SlowToClose extends ForwardingSource {
    final CountDownLatch closing = new CountDownLatch(1);
    final CountDownLatch goOn = new CountDownLatch(1);

    SlowToClose(MemorySource memory) {
      super(memory);
    }

    @Override
    public void close() throws IOException {
      closing.countDown();
      awaitUninterruptibly(goOn);
      super.close();
    }
  }

  @Test
  void close_interruptedWhileAnotherCloses_keepsTheInterrupt() throws Exception {
    SlowToClose source = new SlowToClose(new MemorySource(image));
    CachedDevice device = CachedDevice.builder(source).pair(pair).open();
    CompletableFuture<Void> first = CompletableFuture.runAsync(() -> closeQuietly(device));
    source.closing.await();
    CompletableFuture<Boolean> kept = new CompletableFuture<>();
    Thread second =
        new Thread(
            () -> {
              closeQuietly(device);
              kept.complete(Thread.interrupted());
            });
    second.start();
    while (second.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
    second.interrupt();
    source.goOn.countDown();

    assertThat(kept.get()).isTrue();
    first.get();
  }

  @Test
  void completionThatClosesWhileAnotherCloses_isNotWaitedForByTheOther() throws Exception {
    MemorySource memory = new MemorySource(image);
    memory.hold(); // or the read may complete on this thread
    SlowToClose source = new SlowToClose(memory);
    source.goOn.countDown();
    CachedDevice device = CachedDevice.builder(source).pair(pair).open();
    CountDownLatch completing = new CountDownLatch(1);
    CompletableFuture<Void> told = new CompletableFuture<>();
    device.readAsync(
        0,
        ByteBuffer.allocate(4096),
        failure -> {
          completing.countDown();
          awaitUninterruptibly(source.closing);
          closeQuietly(device);
          told.complete(null);
        });
    memory.release();
    completing.await();

    device.close(); // else the guard finds a warning, after ten seconds

    told.get();
  }

  @Test
  void completionThatCloses_onTheThreadOfTheCommitter_waitsForNobody() throws Exception {
    byte[] large = new byte[8 << 20];
    random.nextBytes(large);
    CountDownLatch done = new CountDownLatch(1);
    for (int round = 0; round < 20 && done.getCount() > 0; round++) {
      FaultStorage storage = new FaultStorage(new LocalStorage()).unforced();
      CachePair own = new CachePair(dir.resolve("c" + round), dir.resolve("b" + round));
      try (CachedDevice device =
          CachedDevice.builder(new MemorySource(large))
              .pair(own)
              .storage(storage)
              .maxCacheBytes(2 << 20)
              .readAheadMaxBytes(0)
              .open()) {
        storage.before(
            "punch c" + round,
            () -> {
              // Put off until the blocks are evicted; the first is fetched meanwhile.
              for (int i = 0; i < 3000; i++) {
                device.readAsync(
                    0,
                    ByteBuffer.allocate(512),
                    failure -> {
                      if (Thread.currentThread().getName().startsWith("uloop-commit")) {
                        closeQuietly(device);
                        done.countDown();
                      }
                    });
              }
            });
        for (int at = 0; at < large.length; at += 65536) {
          device.read(at, ByteBuffer.allocate(65536));
        }
        device.flush();
      } catch (ClosedChannelException e) {
        done.await();
      }
    }
    assertThat(done.getCount()).as("a read that ended on that thread").isZero();
  }

  /** A plug-in may throw what it must not; nothing else stays open then, as the guard sees. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void sourceThatThrowsAsItIsClosed_isToldAndTheRestIsClosed(boolean error) throws Exception {
    ForwardingSource source =
        new ForwardingSource(new MemorySource(image)) {
          @Override
          public void close() {
            if (error) {
              throw new NoClassDefFoundError("not now");
            }
            throw new IllegalStateException("not now");
          }
        };
    CachedDevice device = CachedDevice.builder(source).pair(pair).open();
    device.read(0, ByteBuffer.allocate(SIZE));

    assertThatThrownBy(device::close)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("not now");

    try (CachedDevice again = open()) {
      assertThat(again.statistics().presentBytes()).isEqualTo(SIZE);
    }
  }
}
