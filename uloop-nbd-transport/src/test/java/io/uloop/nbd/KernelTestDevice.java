/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.DeviceCapabilities;
import io.uloop.DeviceStatistics;
import io.uloop.ReadCompletion;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;

/** A file as a device. A test may put an executor between a read and its answer. */
final class KernelTestDevice extends AbsentDevice {

  private final FileChannel file;
  private final long size;
  private final boolean writable;

  /** Where reads are answered; a test sets one that waits. */
  volatile Executor executor = ForkJoinPool.commonPool();

  /** Whether reads fail, as they do when the source is gone. */
  volatile boolean failing;

  private KernelTestDevice(Path path, boolean writable) throws IOException {
    this.writable = writable;
    file =
        writable
            ? FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)
            : FileChannel.open(path);
    size = file.size();
  }

  static KernelTestDevice readOnly(Path path) throws IOException {
    return new KernelTestDevice(path, false);
  }

  static KernelTestDevice writable(Path path) throws IOException {
    return new KernelTestDevice(path, true);
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public DeviceCapabilities capabilities() {
    return new DeviceCapabilities(writable, false, false, false, false, 1, 4096);
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    int start = dst.position();
    while (dst.hasRemaining()) {
      if (file.read(dst, offset + dst.position() - start) < 0) {
        throw new IndexOutOfBoundsException("offset=" + offset + " size=" + size);
      }
    }
  }

  @Override
  public void readAsync(long offset, ByteBuffer dst, ReadCompletion completion) {
    executor.execute(
        () -> {
          try {
            if (failing) {
              throw new SourceUnavailableException("gone for the test");
            }
            read(offset, dst);
            completion.done(null);
          } catch (IOException | RuntimeException e) {
            completion.done(e);
          }
        });
  }

  @Override
  public void write(long offset, ByteBuffer src, boolean fua) throws IOException {
    int start = src.position();
    while (src.hasRemaining()) {
      file.write(src, offset + src.position() - start);
    }
  }

  @Override
  public void flush() throws IOException {
    file.force(false);
  }

  @Override
  public DeviceStatistics statistics() {
    throw new UnsupportedOperationException();
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
