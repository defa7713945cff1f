/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.MemorySource;
import io.uloop.TestSeed;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** An interrupted reader harms nobody: the JDK closes the files under it, the device goes on. */
@Timeout(60)
class InterruptTest {

  private static final int SIZE = 3 << 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  private final byte[] image = new byte[SIZE];
  private MemorySource source;
  private CachePair pair;

  @BeforeEach
  void fill() {
    TestSeed.random("InterruptTest").nextBytes(image);
    source = new MemorySource(image);
    pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
  }

  private CachedDevice open() throws IOException {
    source = new MemorySource(image);
    return CachedDevice.builder(source).pair(pair).open();
  }

  private void assertRead(CachedDevice device, int offset, int length) throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(length);
    device.read(offset, dst);
    assertThat(dst.flip().mismatch(ByteBuffer.wrap(image, offset, length))).isEqualTo(-1);
  }

  private void fillPair() throws IOException {
    try (CachedDevice device = open()) {
      assertRead(device, 0, SIZE);
    }
  }

  @Test
  void tryRead_firstReadAfterOpenOnAnInterruptedThread_isServedFromTheCache() throws Exception {
    fillPair();
    try (CachedDevice device = open()) {
      Thread.currentThread().interrupt();
      ByteBuffer dst = ByteBuffer.allocate(SIZE);

      assertThat(device.tryRead(0, dst)).isTrue();

      assertThat(Thread.interrupted()).isTrue();
      assertThat(dst.flip().mismatch(ByteBuffer.wrap(image))).isEqualTo(-1);
      assertThat(device.statistics().healedBlocks()).isZero();
      assertThat(source.bytesDelivered()).isZero();
    }
  }

  @Test
  void close_onAnInterruptedThread_leavesACleanPair() throws Exception {
    CachedDevice device = open();
    assertRead(device, 0, SIZE);
    Thread.currentThread().interrupt();

    device.close();

    assertThat(Thread.interrupted()).isTrue();
    Sidecar sidecar = new PairOpener(new LocalStorage(), pair, true, WhenDifferent.FAIL).sidecar();
    assertThat(sidecar.bitmapChecksum()).isPresent();
  }

  @Test
  void open_makingThePairOnAnInterruptedThread_works() throws Exception {
    Thread.currentThread().interrupt();
    try (CachedDevice device = open()) {
      assertThat(Thread.interrupted()).isTrue();
      assertRead(device, 5, 100_000);
    }
  }

  @Test
  void openAndFlush_onAnInterruptedThread_work() throws Exception {
    fillPair();
    Thread.currentThread().interrupt();
    try (CachedDevice device = open()) {
      device.flush();
      assertThat(Thread.interrupted()).isTrue();
      assertRead(device, 5, 100_000);
    }
  }

  @Test
  void read_interruptedWhileItWaits_endsAndOthersGoOn() throws Exception {
    try (CachedDevice device = open()) {
      source.hold();
      AtomicReference<Throwable> thrown = new AtomicReference<>();
      AtomicBoolean flag = new AtomicBoolean();
      Thread reader =
          new Thread(
              () -> {
                try {
                  device.read(0, ByteBuffer.allocate(4096));
                } catch (Throwable e) {
                  thrown.set(e);
                  flag.set(Thread.currentThread().isInterrupted());
                }
              });
      reader.start();
      source.awaitHeld(1);
      ByteBuffer mine = ByteBuffer.allocate(4096);
      CompletableFuture<ByteBuffer> other = device.readAsync(0, mine);
      reader.interrupt();
      reader.join();
      assertThat(thrown.get()).isInstanceOf(InterruptedIOException.class);
      assertThat(flag).isTrue();
      assertThat(other).isNotDone();

      source.release();

      other.get();
      assertThat(mine.flip().mismatch(ByteBuffer.wrap(image, 0, 4096))).isEqualTo(-1);
      assertThat(source.timesRead(0)).isEqualTo(1);
    }
  }

  @Test
  void read_missOnAnInterruptedThread_endsAndTheDeviceGoesOn() throws Exception {
    try (CachedDevice device = open()) {
      source.hold();
      Thread.currentThread().interrupt();
      assertThatThrownBy(() -> device.read(0, ByteBuffer.allocate(10)))
          .isInstanceOf(InterruptedIOException.class);
      assertThat(Thread.interrupted()).isTrue();
      source.release();
      assertRead(device, 0, SIZE);
    }
  }

  @Test
  void transferTo_onAnInterruptedThread_sendsAndTheDeviceGoesOn() throws Exception {
    fillPair();
    Path copy = dir.resolve("copy");
    try (CachedDevice device = open();
        FileChannel target =
            FileChannel.open(copy, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      Thread.currentThread().interrupt();
      try {
        device.transferTo(0, SIZE, target);
      } catch (ClosedChannelException e) {
        // The target may be one that an interrupt closes.
      }
      assertThat(Thread.interrupted()).isTrue();
      assertRead(device, 0, SIZE);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void manyReaders_whileAThirdOfThemIsInterruptedAgainAndAgain_allGetTheSourcesBytes(
      boolean unmappable) throws Exception {
    fillPair();
    Storage storage = unmappable ? new FaultStorage(new LocalStorage()).unmappable() : null;
    CachedDevice.Builder builder =
        CachedDevice.builder(new MemorySource(image)).pair(pair).hotTierBytes(0);
    try (CachedDevice device = (storage == null ? builder : builder.storage(storage)).open()) {
      AtomicBoolean stop = new AtomicBoolean();
      AtomicReference<Throwable> failure = new AtomicReference<>();
      Thread[] readers = new Thread[6];
      for (int t = 0; t < readers.length; t++) {
        boolean interrupted = t % 3 == 0;
        long seed = t;
        readers[t] =
            new Thread(
                () -> {
                  Random random = new Random(seed);
                  try {
                    while (!stop.get()) {
                      int offset = random.nextInt(SIZE - 5000);
                      assertRead(device, offset, 1 + random.nextInt(5000));
                      if (interrupted) {
                        Thread.interrupted();
                      }
                    }
                  } catch (InterruptedIOException e) {
                    failure.compareAndSet(null, e);
                  } catch (Throwable e) {
                    failure.compareAndSet(null, e);
                  }
                });
        readers[t].start();
      }
      for (int i = 0; i < 20_000; i++) {
        readers[0].interrupt();
        readers[3].interrupt();
        Thread.onSpinWait();
      }
      stop.set(true);
      for (Thread reader : readers) {
        reader.join();
      }
      assertThat(failure.get()).isNull();
      assertThat(device.statistics().healedBlocks()).isZero();
    }
  }

  @Test
  void theOtherProcessLock_afterAnInterruptClosedTheFile_isHeldAgain() throws Exception {
    fillPair();
    Storage unmappable = new FaultStorage(new LocalStorage()).unmappable();
    try (CachedDevice device =
        CachedDevice.builder(new MemorySource(image)).pair(pair).storage(unmappable).open()) {
      Thread.currentThread().interrupt();
      assertRead(device, 0, 4096);
      assertThat(Thread.interrupted()).isTrue();

      assertThat(OtherProcess.run(OtherProcess.Open.class, dir.toString(), "" + SIZE))
          .contains("in use by another process");
    }
  }

  private final List<Thread> started = new ArrayList<>();

  private FutureTask<Void> start(Callable<Void> action) {
    FutureTask<Void> task = new FutureTask<>(action);
    Thread thread = new Thread(task);
    thread.setDaemon(true); // as it may wait for ever
    thread.start();
    started.add(thread);
    return task;
  }

  /** In the JDK a thread that maps and one that is interrupted as it transfers may deadlock. */
  @Test
  void mapAndTransfer_interruptedAgainAndAgain_waitForNobodyAndKeepTheLock() throws Exception {
    Path path = dir.resolve("mapped");
    LocalFile file = new LocalFile(path);
    assertThat(file.tryLock()).isTrue();
    file.setSize(8192);
    AtomicBoolean mapped = new AtomicBoolean();
    List<FutureTask<Void>> maps = new ArrayList<>();
    List<FutureTask<Void>> transfers = new ArrayList<>();
    for (int t = 0; t < 2; t++) {
      maps.add(
          start(
              () -> {
                for (int i = 0; i < 10_000; i++) {
                  assertThat(file.map(4096, 4096).capacity()).isEqualTo(4096);
                }
                return null;
              }));
      transfers.add(
          start(
              () -> {
                while (!mapped.get()) {
                  try {
                    file.transferTo(0, 10, Channels.newChannel(OutputStream.nullOutputStream()));
                  } catch (ClosedChannelException e) {
                    // by the interrupt, as it is documented
                  }
                  Thread.interrupted();
                }
                return null;
              }));
    }
    List<Thread> pestered = List.copyOf(started);
    FutureTask<Void> pest =
        start(
            () -> {
              for (int i = 0; !mapped.get(); i++) {
                pestered.get(i % pestered.size()).interrupt();
                LockSupport.parkNanos(20_000);
              }
              return null;
            });

    for (FutureTask<Void> map : maps) {
      map.get(30, TimeUnit.SECONDS);
    }
    mapped.set(true);
    pest.get(10, TimeUnit.SECONDS);
    for (FutureTask<Void> transfer : transfers) {
      transfer.get(10, TimeUnit.SECONDS);
    }
    file.map(0, 4096); // who comes next takes up what an interrupt left
    file.size();
    assertThat(OtherProcess.run(OtherProcess.Lock.class, path.toString())).contains("false");
    file.close();
    assertThat(OtherProcess.run(OtherProcess.Lock.class, path.toString())).contains("true");
  }
}
