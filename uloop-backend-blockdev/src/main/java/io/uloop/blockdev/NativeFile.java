/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.ptr.LongByReference;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * A file descriptor of our own, for what the JDK's channel cannot say or do.
 *
 * <p>The one owner of its number: calls hold the read lock, {@link #close} the write lock, so a
 * closed number, which the system gives to the next file, is never used. All calls here are short
 * and move no data, so waiting in {@link #close} is short too.
 */
final class NativeFile implements Closeable {

  private final LibC libc;
  private final Path path;
  private final ReentrantReadWriteLock lock = new ReentrantReadWriteLock();
  private int fd; // guarded by lock; -1 once closed

  private NativeFile(LibC libc, Path path, int fd) {
    this.libc = libc;
    this.path = path;
    this.fd = fd;
  }

  /**
   * Opens a file.
   *
   * @throws UnsupportedOperationException if this platform's C library cannot be called
   * @throws IOException if the file cannot be opened
   */
  static NativeFile open(Path path, boolean writable) throws IOException {
    LibC libc = load();
    int flags = (writable ? LibC.O_RDWR : LibC.O_RDONLY) | LibC.O_CLOEXEC;
    int fd;
    do {
      fd = libc.open(path.toString(), flags);
    } while (fd < 0 && Native.getLastError() == LibC.EINTR);
    if (fd < 0) {
      throw failed(libc, "open", path);
    }
    return new NativeFile(libc, path, fd);
  }

  private static LibC load() {
    String system = System.getProperty("os.name", "");
    if (!system.equals("Linux") || Native.LONG_SIZE != 8) {
      throw new UnsupportedOperationException("needs 64-bit Linux, not " + system);
    }
    try {
      return Native.load("c", LibC.class);
    } catch (LinkageError e) {
      throw new UnsupportedOperationException("no C library to call: " + e.getMessage(), e);
    }
  }

  /** Asks for the size of a block device, in bytes. */
  long deviceSize() throws IOException {
    LongByReference size = new LongByReference();
    call("ioctl BLKGETSIZE64", () -> libc.ioctl(fd, new NativeLong(LibC.BLKGETSIZE64), size));
    return size.getValue();
  }

  /**
   * Finds the next data at or after an offset.
   *
   * @return its offset, or -1 if there is only a hole up to the end
   */
  long nextData(long offset) throws IOException {
    return seek(offset, LibC.SEEK_DATA);
  }

  /** Finds the next hole at or after an offset; the end of the file counts as one. */
  long nextHole(long offset) throws IOException {
    return seek(offset, LibC.SEEK_HOLE);
  }

  private long seek(long offset, int whence) throws IOException {
    try {
      return call("lseek", () -> libc.lseek(fd, offset, whence));
    } catch (NativeException e) {
      if (e.errno == LibC.ENXIO) {
        return -1;
      }
      throw e;
    }
  }

  /**
   * Frees a range, or zeroes it.
   *
   * @return whether it was done; {@code false} if this file or device cannot
   */
  boolean allocate(int mode, long offset, long length) throws IOException {
    try {
      call("fallocate", () -> libc.fallocate(fd, mode, offset, length));
      return true;
    } catch (NativeException e) {
      return switch (e.errno) {
        case LibC.EOPNOTSUPP, LibC.ENOSYS, LibC.ENODEV, LibC.EINVAL, LibC.ENOTTY -> false;
        default -> throw e;
      };
    }
  }

  private interface Call {
    long run();
  }

  private long call(String name, Call call) throws IOException {
    lock.readLock().lock();
    try {
      if (fd < 0) {
        throw new ClosedChannelException();
      }
      while (true) {
        long result = call.run();
        if (result >= 0) {
          return result;
        } else if (Native.getLastError() != LibC.EINTR) {
          throw failed(libc, name, path);
        }
      }
    } finally {
      lock.readLock().unlock();
    }
  }

  private static NativeException failed(LibC libc, String call, Path path) {
    int errno = Native.getLastError();
    return new NativeException(errno, call + " " + path + ": " + libc.strerror(errno));
  }

  /** A call that failed, with its errno. */
  static final class NativeException extends IOException {
    private static final long serialVersionUID = 1L;

    private final int errno;

    NativeException(int errno, String message) {
      super(message);
      this.errno = errno;
    }
  }

  @Override
  public void close() throws IOException {
    lock.writeLock().lock();
    try {
      if (fd >= 0) {
        int number = fd;
        fd = -1;
        // Not tried again on EINTR: close(2) says that Linux has freed the number by then.
        if (libc.close(number) < 0 && Native.getLastError() != LibC.EINTR) {
          throw failed(libc, "close", path);
        }
      }
    } finally {
      lock.writeLock().unlock();
    }
  }
}
