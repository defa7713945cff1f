/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A file descriptor for what the JDK cannot say: holes.
 *
 * <p>Loaded when first needed (a bounded cache), since loading JNA takes a tenth of a second. Linux
 * on 64 bits; elsewhere {@link #open} fails with a clear error.
 */
final class LibC implements AutoCloseable {

  // <fcntl.h>, <linux/falloc.h>, the same on x86-64 and AArch64
  private static final int O_RDWR = 2;
  private static final int O_CLOEXEC = 0x80000;
  private static final int FALLOC_FL_KEEP_SIZE = 1;
  private static final int FALLOC_FL_PUNCH_HOLE = 2;
  private static final int EINTR = 4;
  // statx(2): AT_EMPTY_PATH, STATX_BLOCKS; stx_blocks is the 64-bit word at 48, in units of 512
  private static final int AT_EMPTY_PATH = 0x1000;
  private static final int STATX_BLOCKS = 0x400;
  private static final int STX_BLOCKS_OFFSET = 48;
  private static final int STATX_BYTES = 256;

  /** The calls themselves; each has its man page in section 2. */
  private static final class Calls {
    static {
      Native.register(Calls.class, "c");
    }

    static native int open(String path, int flags, int mode);

    static native int close(int fd);

    static native int fallocate(int fd, int mode, NativeLong offset, NativeLong length);

    static native int statx(
        int dirfd, String path, int flags, int mask, com.sun.jna.Pointer buffer);
  }

  private final Path path;
  private final AtomicInteger fd;

  private LibC(Path path, int fd) {
    this.path = path;
    this.fd = new AtomicInteger(fd);
  }

  static LibC open(Path path) throws IOException {
    try {
      int fd = Calls.open(path.toString(), O_RDWR | O_CLOEXEC, 0);
      if (fd < 0) {
        throw failed("open", path, "");
      }
      return new LibC(path, fd);
    } catch (LinkageError e) {
      throw new IOException(path + ": holes need libc of a 64-bit Linux", e);
    }
  }

  void punch(long offset, long length) throws IOException {
    int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    while (Calls.fallocate(fd.get(), mode, new NativeLong(offset), new NativeLong(length)) != 0) {
      if (Native.getLastError() != EINTR) {
        throw failed("fallocate(PUNCH_HOLE)", path, " at " + offset + " length " + length);
      }
    }
  }

  long allocatedBytes() throws IOException {
    try (Memory buffer = new Memory(STATX_BYTES)) {
      if (Calls.statx(fd.get(), "", AT_EMPTY_PATH, STATX_BLOCKS, buffer) != 0) {
        throw failed("statx", path, "");
      }
      return buffer.getLong(STX_BLOCKS_OFFSET) * 512;
    }
  }

  private static IOException failed(String call, Path path, String where) {
    int errno = Native.getLastError();
    return new IOException(path + ": " + call + where + " failed: errno " + errno);
  }

  @Override
  public void close() {
    int open = fd.getAndSet(-1);
    if (open >= 0) {
      Calls.close(open);
    }
  }
}
