/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * What the JDK cannot say: holes, and the end of a mapping.
 *
 * <p>Loaded when first needed (a bounded cache, the close of a mapped file), since loading JNA
 * takes a tenth of a second. Linux on 64 bits; elsewhere {@link #open} fails with a clear error.
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
  // mmap(2): PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE
  private static final int PROT_READ = 1;
  private static final int IN_PLACE_OF_A_FILE = 0x02 | 0x10 | 0x20 | 0x4000;

  /** The first JDK that warns of native code which was not enabled (JEP 472). */
  private static final int FIRST_TO_WARN = 24;

  /** The calls themselves; each has its man page in section 2. */
  private static final class Calls {
    static {
      Native.register(Calls.class, "c");
    }

    static native int open(String path, int flags, int mode);

    static native int close(int fd);

    static native int fallocate(int fd, int mode, NativeLong offset, NativeLong length);

    static native com.sun.jna.Pointer mmap(
        com.sun.jna.Pointer address,
        NativeLong length,
        int protection,
        int flags,
        int fd,
        NativeLong offset);

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

  /**
   * Whether JNA may be loaded without a warning of the JVM (JDK 24 and later print one, unless
   * native access is enabled for it).
   */
  static boolean loadsQuietly() {
    if (Runtime.version().feature() < FIRST_TO_WARN) {
      return true; // JDK 21 to 23 have the method below, and do not warn whatever it says
    }
    try {
      return (boolean)
          Module.class.getMethod("isNativeAccessEnabled").invoke(Native.class.getModule());
    } catch (ReflectiveOperationException | LinkageError e) {
      return false;
    }
  }

  /**
   * Puts nothing but zeroes in the place of a mapped file, at once; the memory stays reserved until
   * the buffer is collected. Does nothing where that cannot be.
   */
  static void unmapFile(ByteBuffer mapping) {
    try {
      Calls.mmap(
          Native.getDirectBufferPointer(mapping),
          new NativeLong(mapping.capacity()),
          PROT_READ,
          IN_PLACE_OF_A_FILE,
          -1,
          new NativeLong(0));
    } catch (LinkageError e) {
      System.getLogger("io.uloop.core").log(Level.DEBUG, "a mapping is left to the collector", e);
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
