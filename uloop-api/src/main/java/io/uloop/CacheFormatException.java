/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * A file of the pair is damaged, or was written by a newer version.
 *
 * <p>Not retryable. The files are untouched. EIO.
 *
 * @since 0.1
 */
public final class CacheFormatException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public CacheFormatException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public CacheFormatException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public CacheFormatException copy() {
    return new CacheFormatException(getMessage(), this);
  }
}
