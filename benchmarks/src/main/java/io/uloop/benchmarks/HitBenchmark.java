/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.core.CachePair;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
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
 * A random read of what is present, against {@link FileChannel#read} and a bare mapping of the same
 * file.
 *
 * <p>Decides whether the hit path may grow: it must stay below 0.7 us for 4 KiB and allocate
 * nothing ({@code -prof gc}). Random over 1 GiB, so that neither the processor's caches nor its TLB
 * help; {@code hot} stays within 16 MiB, which the hot tier holds.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class HitBenchmark {

  private static final int IMAGE = 1 << 30;
  private static final int HOT = 16 << 20;

  /** Bytes per read. */
  @Param({"4096", "131072"})
  public int length;

  private Path directory;
  private CachedDevice device;
  private FileChannel channel;
  private ByteBuffer mapping;

  /** One reader's buffer and random state. */
  @State(Scope.Thread)
  public static class Reader {
    ByteBuffer dst;
    long seed = 42;

    /** Makes the buffer. */
    @Setup
    public void open(HitBenchmark benchmark) {
      dst = ByteBuffer.allocateDirect(benchmark.length);
    }

    long next(int limit, int length) {
      seed = seed * 6364136223846793005L + 1442695040888963407L;
      return ((seed >>> 33) & (limit - 1)) / length * length;
    }
  }

  /** Fills the cache. */
  @Setup
  public void open() throws IOException {
    directory = Files.createTempDirectory("uloop-bench");
    CachePair pair = new CachePair(directory.resolve("c"), directory.resolve("b"));
    device = CachedDevice.builder(new SparseSource(IMAGE)).pair(pair).open();
    ByteBuffer all = ByteBuffer.allocateDirect(8 << 20);
    for (long at = 0; at < IMAGE; at += all.capacity()) {
      device.read(at, all.clear());
    }
    device.flush();
    channel = FileChannel.open(pair.cacheFile(), StandardOpenOption.READ);
    mapping = channel.map(FileChannel.MapMode.READ_ONLY, 0, IMAGE);
  }

  /** Removes it. */
  @TearDown
  public void close() throws IOException {
    channel.close();
    device.close();
    try (var files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }

  /** The device, over 1 GiB. */
  @Benchmark
  public ByteBuffer device(Reader reader) throws IOException {
    device.read(reader.next(IMAGE, length), reader.dst.clear());
    return reader.dst;
  }

  /** The device, over 16 MiB. */
  @Benchmark
  public ByteBuffer hot(Reader reader) throws IOException {
    device.read(reader.next(HOT, length), reader.dst.clear());
    return reader.dst;
  }

  /** What a reader without uloop would do. */
  @Benchmark
  public ByteBuffer fileChannel(Reader reader) throws IOException {
    channel.read(reader.dst.clear(), reader.next(IMAGE, length));
    return reader.dst;
  }

  /** The least that a copy out of the page cache can cost. */
  @Benchmark
  public ByteBuffer mapping(Reader reader) {
    reader.dst.clear().put(0, mapping, (int) reader.next(IMAGE, length), length);
    return reader.dst;
  }
}
