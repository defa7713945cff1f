/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.MemorySource;
import io.uloop.ReadCompletion;
import io.uloop.TestSeed;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Devices that are closed at any moment of many operations, by one thread or by two, while those
 * who use them are interrupted or not: each operation gives right bytes, or ends as the close, or
 * the interrupt, has it end; each completion comes once; the guard finds no warning and nothing
 * left open.
 */
@Timeout(value = 120, threadMode = ThreadMode.SEPARATE_THREAD)
class CloseStressTest {

  private static final int ROUNDS = 150;
  private static final int THREADS = 8;
  private static final int SIZE = 300_000;
  private static final long LONGEST_ROUND_NANOS = TimeUnit.MILLISECONDS.toNanos(5);

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final Random random = TestSeed.random("CloseStressTest");
  private final byte[] image = new byte[SIZE];
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final AtomicInteger begun = new AtomicInteger();
  private final AtomicInteger ended = new AtomicInteger();
  private final AtomicReference<Throwable> wrong = new AtomicReference<>();

  @BeforeEach
  void fill() {
    random.nextBytes(image);
    Arrays.fill(image, 50_000, 120_000, (byte) 0);
  }

  @AfterEach
  void end() throws InterruptedException {
    threads.shutdownNow();
    assertThat(threads.awaitTermination(20, TimeUnit.SECONDS)).isTrue();
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void close_underAllOperations_endsThem(boolean interrupts) throws Exception {
    for (int round = 0; round < ROUNDS; round++) {
      CachedDevice device = open(round);
      CountDownLatch go = new CountDownLatch(1);
      List<Thread> users = new ArrayList<>();
      List<Future<?>> ends = new ArrayList<>();
      CountDownLatch there = new CountDownLatch(THREADS);
      for (int t = 0; t < THREADS; t++) {
        Random own = new Random(random.nextLong());
        ends.add(
            threads.submit(
                () -> {
                  synchronized (users) {
                    users.add(Thread.currentThread());
                  }
                  there.countDown();
                  BlockingRead.awaitUninterruptibly(go);
                  use(device, own, interrupts);
                  return null;
                }));
      }
      there.await();
      go.countDown();
      long until = System.nanoTime() + (long) (random.nextDouble() * LONGEST_ROUND_NANOS);
      while (System.nanoTime() - until < 0) {
        if (interrupts) {
          users.get(random.nextInt(THREADS)).interrupt();
        }
        LockSupport.parkNanos(50_000);
      }

      Future<?> second = random.nextBoolean() ? threads.submit(() -> close(device)) : null;
      device.close();

      if (second != null) {
        second.get();
      }
      for (Future<?> end : ends) {
        end.get();
      }
      assertThat(wrong.get()).as("round %d", round).isNull();
      assertThat(ended.get()).as("completions, round %d", round).isEqualTo(begun.get());
    }
  }

  /** Opens a pair that is new, or one of the last round but one or two. */
  private CachedDevice open(int round) throws IOException {
    int name = round / 3;
    CachePair pair = new CachePair(dir.resolve("c" + name), dir.resolve("b" + name));
    MemorySource source =
        new MemorySource(image)
            .pieceBytes(1 + random.nextInt(20_000))
            .knowsHoles(random.nextBoolean());
    CachedDevice.Builder builder =
        random.nextBoolean() ? CachedDevice.builder(source) : CachedDevice.builder(() -> source);
    if (name % 4 == 1) {
      builder.maxCacheBytes(1 << 20);
    }
    return builder
        .pair(pair)
        .fetchBytes(4096)
        .checksums(name % 4 != 3)
        .commitInterval(Duration.ofMillis(1))
        .open();
  }

  private static Void close(CachedDevice device) throws IOException {
    device.close();
    return null;
  }

  /** Uses a device until it is closed, and a little longer. */
  private void use(CachedDevice device, Random own, boolean interrupts) throws Exception {
    for (int refused = 0; refused < 20; ) {
      try {
        operate(device, own);
      } catch (ClosedChannelException e) {
        refused++;
      } catch (InterruptedIOException | InterruptedException e) {
        assertThat(interrupts).as("interrupted").isTrue();
        Thread.interrupted();
      }
      if (own.nextInt(4) == 0) {
        Thread.interrupted();
      }
    }
    Thread.interrupted();
  }

  private void operate(CachedDevice device, Random own) throws Exception {
    int length = 1 + own.nextInt(own.nextInt(8) == 0 ? 100_000 : 5000);
    int offset = own.nextInt(SIZE - length);
    ByteBuffer dst =
        own.nextBoolean() ? ByteBuffer.allocate(length) : ByteBuffer.allocateDirect(length);
    switch (own.nextInt(11)) {
      case 0, 1 -> {
        device.read(offset, dst);
        assertBytes(dst, offset);
      }
      case 2 -> {
        if (device.tryRead(offset, dst)) {
          assertBytes(dst, offset);
        }
      }
      case 3, 4 -> device.readAsync(offset, dst, completion(() -> assertBytes(dst, offset)));
      case 5 -> {
        if (!device.fetchAsync(offset, length, completion(() -> {}))) {
          ended.incrementAndGet();
        }
      }
      case 6 -> {
        ByteBuffer sent = ByteBuffer.allocate(length);
        assertThat(device.transferTo(offset, length, new Taker(sent))).isEqualTo(sent.position());
        assertBytes(sent, offset);
      }
      case 7 -> device.prefetch(offset, length);
      case 8 -> assertThat(device.verify().wrong()).isZero();
      case 9 -> device.flush();
      default -> {
        if (own.nextInt(10) == 0) {
          BackgroundFill fill = device.fill(Long.MAX_VALUE, 2);
          if (own.nextBoolean()) {
            fill.await();
          }
        }
        assertThat(device.extents(offset, length)).isNotEmpty();
      }
    }
  }

  private ReadCompletion completion(Runnable whenRight) {
    begun.incrementAndGet();
    AtomicInteger times = new AtomicInteger();
    return failure -> {
      try {
        assertThat(times.incrementAndGet()).isEqualTo(1);
        if (failure == null) {
          whenRight.run();
        } else {
          assertThat(failure).isInstanceOf(ClosedChannelException.class);
        }
      } catch (AssertionError e) {
        wrong.compareAndSet(null, e);
      }
      ended.incrementAndGet();
    };
  }

  private void assertBytes(ByteBuffer filled, int offset) {
    ByteBuffer got = filled.duplicate().flip();
    assertThat(got.mismatch(ByteBuffer.wrap(image, offset, got.limit()))).isEqualTo(-1);
  }

  /** Takes a little at a time. */
  private record Taker(ByteBuffer into) implements WritableByteChannel {
    @Override
    public int write(ByteBuffer from) {
      int n = Math.min(from.remaining(), 3000);
      into.put(from.slice(from.position(), n));
      from.position(from.position() + n);
      return n;
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }
}
