/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.ByteRange;
import io.uloop.DeviceCapabilities;
import io.uloop.DeviceStatistics;
import io.uloop.Extent;
import io.uloop.ReadCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * A file that is all present, to measure the server alone: what a cache's hits could be at best.
 */
final class MappedFileDevice implements BlockDevice {

  private static final int WINDOW_BITS = 30;

  private final FileChannel file;
  private final long size;
  private final List<MappedByteBuffer> windows = new ArrayList<>();
  private final boolean sendfile;

  MappedFileDevice(Path path, boolean sendfile) throws IOException {
    file = FileChannel.open(path, StandardOpenOption.READ);
    size = file.size();
    this.sendfile = sendfile;
    for (long at = 0; at < size; at += 1L << WINDOW_BITS) {
      windows.add(
          file.map(FileChannel.MapMode.READ_ONLY, at, Math.min(size - at, 1L << WINDOW_BITS)));
    }
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public DeviceCapabilities capabilities() {
    return DeviceCapabilities.readOnly(4096);
  }

  @Override
  public void read(long offset, ByteBuffer dst) {
    while (dst.hasRemaining()) {
      MappedByteBuffer window = windows.get((int) (offset >>> WINDOW_BITS));
      int at = (int) (offset & ((1 << WINDOW_BITS) - 1));
      int count = Math.min(dst.remaining(), window.capacity() - at);
      dst.put(dst.position(), window, at, count);
      dst.position(dst.position() + count);
      offset += count;
    }
  }

  @Override
  public boolean tryRead(long offset, ByteBuffer dst) {
    read(offset, dst);
    return true;
  }

  @Override
  public void readAsync(long offset, ByteBuffer dst, ReadCompletion completion) {
    read(offset, dst);
    completion.done(null);
  }

  @Override
  public long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    if (sendfile) {
      return file.transferTo(offset, length, target);
    }
    MappedByteBuffer window = windows.get((int) (offset >>> WINDOW_BITS));
    int at = (int) (offset & ((1 << WINDOW_BITS) - 1));
    return target.write(window.slice(at, (int) Math.min(length, window.capacity() - at)));
  }

  @Override
  public long presentBytes(long offset, long length) {
    return length;
  }

  @Override
  public List<Extent> extents(long offset, long length) {
    return List.of(new Extent(ByteRange.ofLength(offset, length), true, false));
  }

  @Override
  public void flush() {}

  @Override
  public DeviceStatistics statistics() {
    return new DeviceStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, size);
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
