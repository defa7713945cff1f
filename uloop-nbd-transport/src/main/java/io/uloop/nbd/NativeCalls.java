/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Platform;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;

/**
 * System calls as Java methods: interrupted ones are repeated, failed ones throw.
 *
 * <p>Every call reads its return value first and the error number only after -1. The error number
 * belongs to the calling thread and is kept by JNA until that thread's next call.
 *
 * <p><b>Threads:</b> safe for any; holds no state but the library.
 */
final class NativeCalls {

  /** From {@code bits/poll.h}. */
  private static final int POLLIN = 0x001;

  private static final int POLLERR = 0x008;
  private static final int POLLHUP = 0x010;

  private static final int POLLFD_BYTES = 8;

  /** {@code sigset_t} has room for 1024 signals. */
  private static final int SIGSET_BYTES = 128;

  private static final int LOW_WORD =
      ByteOrder.nativeOrder() == ByteOrder.LITTLE_ENDIAN ? 0 : Native.LONG_SIZE - 4;
  private static final int SIG_BLOCK = 0;

  /** From {@code sys/file.h}. */
  private static final int LOCK_EX = 2;

  private static final int LOCK_NB = 4;

  private final NativeLibc libc;

  private NativeCalls(NativeLibc libc) {
    this.libc = libc;
  }

  /**
   * Loads the C library, on Linux.
   *
   * @throws IOException if this is no Linux, or native code cannot be loaded
   */
  static NativeCalls load() throws IOException {
    if (!Platform.isLinux()) {
      throw new IOException("kernel devices need Linux; this is " + System.getProperty("os.name"));
    }
    try {
      return new NativeCalls(Native.load("c", NativeLibc.class));
    } catch (UnsatisfiedLinkError | NoClassDefFoundError e) {
      throw new IOException(
          "the C library cannot be loaded through JNA (is jna.tmpdir on a noexec mount?): "
              + e.getMessage(),
          e);
    }
  }

  NativeFd socket(int domain, int type, int protocol) throws NativeException {
    String call = "socket(" + domain + ", " + type + ", " + protocol + ")";
    return new NativeFd(this, check(call, () -> libc.socket(domain, type, protocol)), call);
  }

  /** Makes a connected pair. */
  NativeFd[] socketpair(int domain, int type) throws NativeException {
    int[] pair = new int[2];
    check("socketpair", () -> libc.socketpair(domain, type, 0, pair));
    return new NativeFd[] {
      new NativeFd(this, pair[0], "socketpair[0]"), new NativeFd(this, pair[1], "socketpair[1]")
    };
  }

  void bind(NativeFd fd, byte[] address) throws NativeException {
    check("bind(" + fd + ")", () -> libc.bind(fd.number(), address, address.length));
  }

  void listen(NativeFd fd, int backlog) throws NativeException {
    check("listen(" + fd + ")", () -> libc.listen(fd.number(), backlog));
  }

  /**
   * Connects.
   *
   * <p>Not repeated when interrupted: connect(2) goes on by itself then, and a second call would
   * fail with EALREADY. A unix socket's connect is interrupted only before it did anything, and the
   * JVM's own signals restart it, so it is an error here.
   */
  void connect(NativeFd fd, byte[] address, String what) throws NativeException {
    if (libc.connect(fd.number(), address, address.length) != 0) {
      throw failure("connect(" + what + ")");
    }
  }

  /** Sends at least one byte and says how many. */
  int send(NativeFd fd, byte[] bytes, int flags) throws NativeException {
    return check(
        "send(" + fd + ", " + bytes.length + ")",
        () -> libc.send(fd.number(), bytes, new NativeLong(bytes.length), flags).intValue());
  }

  void sendto(NativeFd fd, byte[] bytes, int flags, byte[] address, String what)
      throws NativeException {
    check(
        "sendto(" + what + ")",
        () ->
            libc.sendto(
                    fd.number(),
                    bytes,
                    new NativeLong(bytes.length),
                    flags,
                    address,
                    address.length)
                .intValue());
  }

  /** Receives up to a buffer and says how much; 0 at the end of a stream. */
  int recv(NativeFd fd, byte[] buffer, int flags) throws NativeException {
    return check(
        "recv(" + fd + ", " + buffer.length + ")",
        () -> libc.recv(fd.number(), buffer, new NativeLong(buffer.length), flags).intValue());
  }

  void setsockopt(NativeFd fd, int level, int name, byte[] value) throws NativeException {
    check(
        "setsockopt(" + fd + ", " + level + ", " + name + ")",
        () -> libc.setsockopt(fd.number(), level, name, value, value.length));
  }

  /** Fills the value and says how many bytes of it. */
  int getsockopt(NativeFd fd, int level, int name, byte[] value) throws NativeException {
    int[] length = {value.length};
    check(
        "getsockopt(" + fd + ", " + level + ", " + name + ")",
        () -> libc.getsockopt(fd.number(), level, name, value, length));
    return length[0];
  }

  /**
   * Waits until there is something to read, or an end or error to be read.
   *
   * @return whether there is; {@code false} after the time is over
   */
  boolean pollIn(NativeFd fd, int timeoutMillis) throws NativeException {
    return poll(fd, POLLIN, timeoutMillis) != 0;
  }

  /** Tells whether the connection behind a socket has ended. */
  boolean pollHangUp(NativeFd fd) throws NativeException {
    return (poll(fd, 0, 0) & (POLLHUP | POLLERR)) != 0;
  }

  /** Gives the events that came about, 0 after the time is over. */
  private int poll(NativeFd fd, int events, int timeoutMillis) throws NativeException {
    byte[] bytes = new byte[POLLFD_BYTES];
    ByteBuffer pollfd = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
    pollfd.putInt(fd.number()).putShort((short) events);
    // Not repeated when interrupted: that would begin the time anew. Nothing was read then.
    int ready = libc.poll(bytes, new NativeLong(1), timeoutMillis);
    if (ready < 0 && Native.getLastError() != NativeException.EINTR) {
      throw failure("poll(" + fd + ")");
    }
    return ready > 0 ? pollfd.getShort(6) : 0;
  }

  NativeFd open(String path, int flags) throws NativeException {
    int mode = 0;
    return new NativeFd(
        this, check("open(" + path + ")", () -> libc.open(path, flags, mode)), path);
  }

  void fsync(NativeFd fd) throws NativeException {
    check("fsync(" + fd + ")", () -> libc.fsync(fd.number()));
  }

  /** Makes a number mean the same as another; for descriptors that nobody here owns. */
  void dup2(int from, int to) throws NativeException {
    check("dup2(" + from + ", " + to + ")", () -> libc.dup2(from, to));
  }

  /** Calls ioctl with a number. */
  int ioctl(NativeFd fd, String name, long request, long argument) throws NativeException {
    return check(
        "ioctl(" + fd + ", " + name + ", " + argument + ")",
        () -> libc.ioctl(fd.number(), new NativeLong(request), new NativeLong(argument)));
  }

  /** Calls ioctl with a structure, read and written in place. */
  int ioctl(NativeFd fd, String name, long request, byte[] argument) throws NativeException {
    return check(
        "ioctl(" + fd + ", " + name + ")",
        () -> libc.ioctl(fd.number(), new NativeLong(request), (Object) argument));
  }

  int fcntl(NativeFd fd, int command, long argument) throws NativeException {
    return check(
        "fcntl(" + fd + ", " + command + ")",
        () -> libc.fcntl(fd.number(), command, new NativeLong(argument)));
  }

  int prctl(String name, int option, long argument) throws NativeException {
    NativeLong zero = new NativeLong(0);
    return check(
        "prctl(" + name + ", " + argument + ")",
        () -> libc.prctl(option, new NativeLong(argument), zero, zero, zero));
  }

  /**
   * Blocks signals for the calling thread.
   *
   * @throws NativeException if that fails; the function returns the error number itself
   */
  void blockSignals(int... signals) throws NativeException {
    ByteBuffer set = ByteBuffer.allocate(SIGSET_BYTES).order(ByteOrder.nativeOrder());
    for (int signal : signals) {
      // An array of unsigned long; signals up to 32 are in the first, whatever its size.
      set.putInt(LOW_WORD, set.getInt(LOW_WORD) | 1 << (signal - 1));
    }
    int errno = libc.pthread_sigmask(SIG_BLOCK, set.array(), new byte[SIGSET_BYTES]);
    if (errno != 0) {
      throw new NativeException("pthread_sigmask", errno, text(errno));
    }
  }

  void mlockall(int flags) throws NativeException {
    check("mlockall(" + flags + ")", () -> libc.mlockall(flags));
  }

  void umount2(String target, int flags) throws NativeException {
    check("umount2(" + target + ")", () -> libc.umount2(target, flags));
  }

  /**
   * Locks a file or directory for whoever opened it, until that is closed; does not wait.
   *
   * @return whether it is locked; else somebody else has the lock
   */
  boolean tryLock(NativeFd fd) throws NativeException {
    try {
      check("flock(" + fd + ")", () -> libc.flock(fd.number(), LOCK_EX | LOCK_NB));
      return true;
    } catch (NativeException e) {
      if (e.errno() == NativeException.EAGAIN) {
        return false;
      }
      throw e;
    }
  }

  boolean isRoot() {
    return libc.geteuid() == 0;
  }

  /** Closes; on Linux the number is free afterwards whatever close(2) answers, so never twice. */
  @Nullable NativeException close(int fd) {
    return libc.close(fd) == 0 ? null : failure("close(" + fd + ")");
  }

  /** Says what an error number means. */
  String text(int errno) {
    return libc.strerror(errno);
  }

  private int check(String call, IntSupplier function) throws NativeException {
    while (true) {
      int result = function.getAsInt();
      if (result != -1) {
        return result;
      }
      if (Native.getLastError() != NativeException.EINTR) {
        throw failure(call);
      }
    }
  }

  private NativeException failure(String call) {
    int errno = Native.getLastError();
    return new NativeException(call, errno, text(errno));
  }
}
