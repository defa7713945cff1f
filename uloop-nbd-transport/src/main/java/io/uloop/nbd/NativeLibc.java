/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import com.sun.jna.Library;
import com.sun.jna.NativeLong;

/**
 * The functions of the C library that attaching needs, with their C names.
 *
 * <p>None of them is declared to throw {@link com.sun.jna.LastErrorException}: that one is thrown
 * whenever errno is non-zero afterwards, whatever the function returned, while every function here
 * says by its return value whether errno means anything. {@link NativeCalls} looks at the value
 * first.
 *
 * <p>{@code size_t} and {@code unsigned long} are a {@link NativeLong}: on Linux all three have the
 * size of a pointer. Functions that are variadic in C are variadic here, since some machines pass
 * variadic arguments differently.
 *
 * <p><b>Source:</b> the pages of the same names in section 2 of the Linux manual, and strerror(3).
 */
interface NativeLibc extends Library {

  int socket(int domain, int type, int protocol);

  int socketpair(int domain, int type, int protocol, int[] sv);

  int bind(int fd, byte[] address, int length);

  int listen(int fd, int backlog);

  int connect(int fd, byte[] address, int length);

  NativeLong send(int fd, byte[] buffer, NativeLong length, int flags);

  NativeLong sendto(
      int fd, byte[] buffer, NativeLong length, int flags, byte[] address, int addressLength);

  NativeLong recv(int fd, byte[] buffer, NativeLong length, int flags);

  int setsockopt(int fd, int level, int name, byte[] value, int length);

  int getsockopt(int fd, int level, int name, byte[] value, int[] length);

  int poll(byte[] pollfds, NativeLong count, int timeoutMillis);

  int open(String path, int flags, Object... mode);

  int close(int fd);

  int dup2(int oldFd, int newFd);

  int fsync(int fd);

  int ioctl(int fd, NativeLong request, Object... argument);

  int fcntl(int fd, int command, Object... argument);

  int prctl(int option, Object... arguments);

  int pthread_sigmask(int how, byte[] set, byte[] oldSet);

  int mlockall(int flags);

  int umount2(String target, int flags);

  int flock(int fd, int operation);

  int geteuid();

  String strerror(int errno);
}
