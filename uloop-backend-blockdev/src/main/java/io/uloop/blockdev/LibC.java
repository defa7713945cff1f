/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;

/**
 * The C library's calls that this module needs, under their own names.
 *
 * <p>Return values are those of C; {@link Native#getLastError} has errno. Offsets are {@code off_t}
 * of 64 bits, so this is for 64-bit platforms ({@link NativeFile} checks).
 */
interface LibC extends Library {

  // asm-generic/fcntl.h
  int O_RDONLY = 0;
  int O_RDWR = 2;
  int O_CLOEXEC = 02000000;

  // linux/fs.h: _IOR(0x12, 114, size_t), the same number on x86-64 and arm64.
  long BLKGETSIZE64 = 0x80081272L;

  // linux/fs.h, lseek(2)
  int SEEK_DATA = 3;
  int SEEK_HOLE = 4;

  // linux/falloc.h, fallocate(2)
  int FALLOC_FL_KEEP_SIZE = 0x01;
  int FALLOC_FL_PUNCH_HOLE = 0x02;
  int FALLOC_FL_ZERO_RANGE = 0x10;

  // asm-generic/errno-base.h and errno.h
  int EINTR = 4;
  int ENXIO = 6;
  int EINVAL = 22;
  int ENOTTY = 25;
  int ENODEV = 19;
  int ENOSYS = 38;
  int EOPNOTSUPP = 95;

  /** <a href="https://man7.org/linux/man-pages/man2/open.2.html">open(2)</a>. */
  int open(String path, int flags, Object... mode);

  /** <a href="https://man7.org/linux/man-pages/man2/close.2.html">close(2)</a>. */
  int close(int fd);

  /** <a href="https://man7.org/linux/man-pages/man2/ioctl.2.html">ioctl(2)</a>. */
  int ioctl(int fd, NativeLong request, Object... argument);

  /** <a href="https://man7.org/linux/man-pages/man2/lseek.2.html">lseek(2)</a>. */
  long lseek(int fd, long offset, int whence);

  /** <a href="https://man7.org/linux/man-pages/man2/fallocate.2.html">fallocate(2)</a>. */
  int fallocate(int fd, int mode, long offset, long length);

  /** <a href="https://man7.org/linux/man-pages/man3/strerror.3.html">strerror(3)</a>. */
  String strerror(int errno);
}
