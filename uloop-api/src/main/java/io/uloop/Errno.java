/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

/**
 * The error numbers that a block transport knows, numbered as the NBD protocol does.
 *
 * <p><b>Source:</b> NetworkBlockDevice/nbd, doc/proto.md, "Error values".
 *
 * @since 0.1
 */
public enum Errno {
  /** Operation not permitted: a write to something read-only. */
  EPERM(1),
  /** Input/output error. */
  EIO(5),
  /** Cannot allocate memory. */
  ENOMEM(12),
  /** Invalid argument. */
  EINVAL(22),
  /** No space left on device. */
  ENOSPC(28),
  /** Value too large. */
  EOVERFLOW(75),
  /** Operation not supported. */
  ENOTSUP(95),
  /** The server is shutting down. */
  ESHUTDOWN(108);

  private final int number;

  Errno(int number) {
    this.number = number;
  }

  /**
   * Gives the number on the wire.
   *
   * @return the number, the same as Linux has
   */
  public int number() {
    return number;
  }

  /**
   * Finds the error number of a failure.
   *
   * @param failure what a device or source threw
   * @return that of a {@link UloopException}; ESHUTDOWN for a closed channel, ENOTSUP for an
   *     unsupported operation, EINVAL for a bad argument, ENOMEM for exhausted memory, else EIO
   */
  public static Errno of(Throwable failure) {
    if (failure instanceof UloopException known) {
      return known.errno();
    } else if (failure instanceof java.nio.channels.ClosedChannelException) {
      return ESHUTDOWN;
    } else if (failure instanceof UnsupportedOperationException) {
      return ENOTSUP;
    } else if (failure instanceof IllegalArgumentException
        || failure instanceof IndexOutOfBoundsException) {
      return EINVAL;
    } else if (failure instanceof OutOfMemoryError) {
      return ENOMEM;
    } else if (failure instanceof java.util.concurrent.CompletionException
        && failure.getCause() != null) {
      return of(failure.getCause());
    }
    return EIO;
  }
}
