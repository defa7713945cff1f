/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
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
 * What a miss costs beside the source: 1024 misses of one fetch unit each, the source taking no
 * time.
 *
 * <p>One operation is one miss: planned, handed to a worker, stored, checked, marked, answered.
 * Decides what checksums and the fetch unit may cost.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 10, batchSize = 1)
@Measurement(iterations = 20, batchSize = 1)
public class MissBenchmark {

  private static final int MISSES = 1024;

  /** The fetch unit. */
  @Param({"65536", "262144"})
  public int unit;

  /** Whether each block has a checksum. */
  @Param({"true", "false"})
  public boolean checksums;

  private Scratch scratch;
  private CachedDevice device;
  private final ByteBuffer dst = ByteBuffer.allocateDirect(4096);

  /** An empty cache. */
  @Setup(Level.Iteration)
  public void open() throws IOException {
    scratch = new Scratch();
    device =
        CachedDevice.builder(new SparseSource((long) MISSES * unit))
            .pair(scratch.pair())
            .fetchBytes(unit)
            .readAheadMaxBytes(0)
            .checksums(checksums)
            .open();
  }

  /** Removes it. */
  @TearDown(Level.Iteration)
  public void close() throws IOException {
    device.close();
    scratch.close();
  }

  /** The misses, in an order that no read-ahead follows. */
  @Benchmark
  @org.openjdk.jmh.annotations.OperationsPerInvocation(MISSES)
  public void miss() throws IOException {
    for (long i = 0; i < MISSES; i++) {
      device.read(i * 619 % MISSES * unit, dst.clear());
    }
  }
}
