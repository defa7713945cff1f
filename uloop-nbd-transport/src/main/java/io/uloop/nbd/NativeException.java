/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;

/** A system call that failed: which, with what, and the error number. */
final class NativeException extends IOException {

  private static final long serialVersionUID = 1L;

  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EINTR = 4;
  static final int EIO = 5;
  static final int ENXIO = 6;
  static final int EAGAIN = 11;
  static final int EACCES = 13;
  static final int EBUSY = 16;
  static final int EEXIST = 17;
  static final int ENODEV = 19;
  static final int EINVAL = 22;
  static final int ENOTTY = 25;
  static final int EBADR = 53;
  static final int EADDRINUSE = 98;
  static final int ENOBUFS = 105;
  static final int ECONNREFUSED = 111;

  private final int errno;

  /**
   * Makes one.
   *
   * @param call the call and its arguments, as in {@code connect(/run/a.sock)}
   * @param errno the error number
   * @param text what the system says it means
   */
  NativeException(String call, int errno, String text) {
    super(call + ": " + text + " (errno " + errno + ")");
    this.errno = errno;
  }

  /** Gives the error number, positive. */
  int errno() {
    return errno;
  }
}
