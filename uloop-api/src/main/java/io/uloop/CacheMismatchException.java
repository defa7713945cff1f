/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The pair belongs to another source, generation or block size.
 *
 * <p>Not retryable: use another pair, or say that it shall be made again. The files are untouched.
 * EIO.
 *
 * @since 0.1
 */
public final class CacheMismatchException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public CacheMismatchException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public CacheMismatchException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public CacheMismatchException copy() {
    return new CacheMismatchException(getMessage(), this);
  }
}
