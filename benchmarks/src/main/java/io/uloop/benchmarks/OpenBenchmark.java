/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
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
 * Opening and closing a pair that is there, and what one commit costs.
 *
 * <p>16 TiB less one block, the most that a file of ext4 holds: the bitmap is 512 MiB, nearly all
 * of it a hole. Decides whether the bitmap may be scanned at open.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public class OpenBenchmark {

  /** Of the image. */
  @Param({"2147483648", "17592186040320"})
  public long bytes;

  private Scratch scratch;
  private CachedDevice open;
  private long next;

  /** A pair with a block here and there. */
  @Setup
  public void make() throws IOException {
    scratch = new Scratch();
    open = device(scratch);
    ByteBuffer dst = ByteBuffer.allocate(4096);
    for (int i = 0; i < 64; i++) {
      open.read(bytes / 64 * i / 4096 * 4096, dst.clear());
    }
    open.flush();
  }

  private CachedDevice device(Scratch where) throws IOException {
    return CachedDevice.builder(new SparseSource(bytes))
        .pair(where.pair())
        .readAheadMaxBytes(0)
        .open();
  }

  /** Removes it. */
  @TearDown
  public void remove() throws IOException {
    open.close();
    scratch.close();
  }

  /** Closes and opens. */
  @Benchmark
  public CachedDevice reopen() throws IOException {
    open.close();
    open = device(scratch);
    return open;
  }

  /** One new block, made durable: two forces of data, one of the bitmap. */
  @Benchmark
  public void commit() throws IOException {
    next = (next + 64 * 1024 * 1031L) % (bytes - 4096) / 4096 * 4096;
    open.read(next, ByteBuffer.allocate(4096));
    open.flush();
  }
}
