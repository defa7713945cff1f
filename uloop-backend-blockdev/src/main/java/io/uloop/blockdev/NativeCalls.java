/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import io.uloop.SourceRefusedException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The native side of one source, opened when it is first needed.
 *
 * <p>What a platform cannot do natively is done plainly: no holes known, zeroes written, nothing
 * trimmed. Only the size of a block device has no plain way.
 */
final class NativeCalls implements Closeable {

  private static final System.Logger LOG = System.getLogger("io.uloop.blockdev");

  private final Path path;
  private final boolean writable;

  // Guards the three below. Held while the file is opened, so that it happens once.
  private final ReentrantLock lock = new ReentrantLock();
  private @Nullable NativeFile file;
  private boolean unable;
  private boolean closed;

  NativeCalls(Path path, boolean writable) {
    this.path = path;
    this.writable = writable;
  }

  /** Gives the native file; empty if this platform has none. */
  Optional<NativeFile> file() throws IOException {
    lock.lock();
    try {
      if (closed) {
        throw new ClosedChannelException();
      }
      if (file == null && !unable) {
        try {
          file = NativeFile.open(path, writable);
        } catch (UnsupportedOperationException e) {
          unable = true;
          LOG.log(System.Logger.Level.INFO, "no native calls for " + path + ": " + e.getMessage());
        }
      }
      return Optional.ofNullable(file);
    } finally {
      lock.unlock();
    }
  }

  /** Asks for the size of the block device. */
  long deviceSize() throws IOException {
    Optional<NativeFile> device = file();
    if (device.isEmpty()) {
      throw new SourceRefusedException(
          "cannot ask for the size of block device " + path + " on this platform");
    }
    return device.get().deviceSize();
  }

  /**
   * Calls fallocate.
   *
   * @return whether it was done
   */
  boolean allocate(int mode, long offset, long length) throws IOException {
    Optional<NativeFile> target = file();
    return target.isPresent() && target.get().allocate(mode, offset, length);
  }

  @Override
  public void close() throws IOException {
    lock.lock();
    try {
      closed = true;
      if (file != null) {
        file.close();
      }
    } finally {
      lock.unlock();
    }
  }
}
