/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The one owner of a file descriptor.
 *
 * <p>The number is closed at most once, so that a number that the system gave to somebody else
 * meanwhile is never touched. Whoever closes makes sure that no call on it is running.
 *
 * <p><b>Threads:</b> safe for any.
 */
final class NativeFd implements Closeable {

  private final NativeCalls calls;
  private final int number;
  private final String what;
  private final AtomicBoolean closed = new AtomicBoolean();

  /**
   * Takes a descriptor over.
   *
   * @param calls the C library
   * @param number the descriptor
   * @param what a name for messages
   */
  NativeFd(NativeCalls calls, int number, String what) {
    this.calls = calls;
    this.number = number;
    this.what = what;
  }

  /**
   * Gives the number.
   *
   * @throws IllegalStateException if it is closed
   */
  int number() {
    if (closed.get()) {
      throw new IllegalStateException("closed descriptor: " + what);
    }
    return number;
  }

  /** Closes the descriptor; a second call does nothing. */
  @Override
  public void close() throws NativeException {
    if (closed.compareAndSet(false, true)) {
      NativeException failure = calls.close(number);
      if (failure != null) {
        throw failure;
      }
    }
  }

  @Override
  public String toString() {
    return what;
  }
}
