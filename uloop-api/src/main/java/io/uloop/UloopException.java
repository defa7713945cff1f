/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * What the outside world can do wrong; sealed, so that a caller can tell all cases.
 *
 * <p>Messages name the resource (without credentials), the place in it, what was expected and what
 * came. A closed device or source is a {@link java.nio.channels.ClosedChannelException} instead,
 * and a programmer's mistake an unchecked JDK exception.
 *
 * <table>
 *   <caption>What each one means for the caller</caption>
 *   <tr><th>type</th><th>retryable</th><th>cache afterwards</th><th>errno</th></tr>
 *   <tr><td>{@link SourceUnavailableException}</td><td>yes</td><td>unharmed</td><td>EIO</td></tr>
 *   <tr><td>{@link SourceRefusedException}</td><td>no</td><td>unharmed</td><td>EIO</td></tr>
 *   <tr><td>{@link SourceChangedException}</td><td>no</td><td>unharmed: present blocks stay
 *       readable, nothing of the new generation is stored</td><td>EIO</td></tr>
 *   <tr><td>{@link SourceProtocolException}</td><td>no</td><td>unharmed</td><td>EIO</td></tr>
 *   <tr><td>{@link CacheInUseException}</td><td>yes</td><td>untouched</td><td>EIO</td></tr>
 *   <tr><td>{@link CacheMismatchException}</td><td>no</td><td>untouched</td><td>EIO</td></tr>
 *   <tr><td>{@link CacheFormatException}</td><td>no</td><td>untouched</td><td>EIO</td></tr>
 *   <tr><td>{@link CacheIoException}</td><td>yes</td><td>what was durable still is</td>
 *       <td>ENOSPC if the volume is full, else EIO</td></tr>
 *   <tr><td>{@link ReadOnlyException}</td><td>no</td><td>untouched</td><td>EPERM</td></tr>
 * </table>
 *
 * @since 0.1
 */
public abstract sealed class UloopException extends IOException
    permits SourceUnavailableException,
        SourceRefusedException,
        SourceChangedException,
        SourceProtocolException,
        CacheInUseException,
        CacheMismatchException,
        CacheFormatException,
        CacheIoException,
        ReadOnlyException {

  private static final long serialVersionUID = 1L;

  private final String message;

  UloopException(String message, @Nullable Throwable cause) {
    super(message, cause);
    this.message = message;
  }

  /** Gives the message, which is never null here. */
  @Override
  public final String getMessage() {
    return message;
  }

  /**
   * Tells whether the same call may succeed later with nothing changed here.
   *
   * @return whether to try again makes sense
   */
  public boolean retryable() {
    return false;
  }

  /**
   * Gives the error number that a block transport sends for this.
   *
   * @return the number, EIO unless stated otherwise
   */
  public Errno errno() {
    return Errno.EIO;
  }

  /**
   * Copies this failure for another waiter, with this one as the cause, so that each thread throws
   * a stack trace of its own.
   *
   * @return an exception of the same type and message
   */
  public abstract UloopException copy();
}
