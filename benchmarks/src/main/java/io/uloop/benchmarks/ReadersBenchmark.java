/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.BlockSource;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * One or eight readers of the same 64 MiB that are in no cache, 128 KiB at a time, from a source
 * that answers after 10 ms.
 *
 * <p>Eight must take hardly longer than one, as each block is fetched once; the end of an iteration
 * checks that it was.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 10)
@Measurement(iterations = 20)
public class ReadersBenchmark {

  private static final long BYTES = 64 << 20;
  private static final int PIECE = 128 * 1024;
  private static final long DELAY_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

  /** How many read at once. */
  @Param({"1", "8"})
  public int readers;

  private Scratch scratch;
  private CachedDevice device;
  private ExecutorService threads;

  /** A source with a round trip. */
  private static final class Distant implements BlockSource {
    private final SparseSource near = new SparseSource(BYTES);

    @Override
    public long size() {
      return BYTES;
    }

    @Override
    public int parallelism() {
      return 8;
    }

    @Override
    public void read(long offset, ByteBuffer dst) {
      LockSupport.parkNanos(DELAY_NANOS);
      near.read(offset, dst);
    }

    @Override
    public void close() {}
  }

  /** An empty cache. */
  @Setup(Level.Iteration)
  public void open() throws IOException {
    scratch = new Scratch();
    device = CachedDevice.builder(new Distant()).pair(scratch.pair()).open();
    threads = Executors.newFixedThreadPool(readers);
  }

  /** Removes it. */
  @TearDown(Level.Iteration)
  public void close() throws IOException {
    threads.shutdown();
    long fetched = device.statistics().bytesFetched();
    device.close();
    scratch.close();
    if (fetched != BYTES) {
      throw new IllegalStateException("fetched " + fetched + " bytes of " + BYTES);
    }
  }

  /** All of them to their end. */
  @Benchmark
  public void read() throws Exception {
    List<Future<?>> all = new ArrayList<>();
    for (int reader = 0; reader < readers; reader++) {
      all.add(
          threads.submit(
              () -> {
                ByteBuffer dst = ByteBuffer.allocateDirect(PIECE);
                for (long offset = 0; offset < BYTES; offset += PIECE) {
                  device.read(offset, dst.clear());
                }
                return null;
              }));
    }
    for (Future<?> each : all) {
      each.get();
    }
  }
}
