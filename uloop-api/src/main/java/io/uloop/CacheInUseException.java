/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The pair of cache and bitmap file is in use, by this JVM or by another process.
 *
 * <p>Retryable: the other one may end. The files are untouched. EIO.
 *
 * @since 0.1
 */
public final class CacheInUseException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public CacheInUseException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public CacheInUseException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public boolean retryable() {
    return true;
  }

  @Override
  public CacheInUseException copy() {
    return new CacheInUseException(getMessage(), this);
  }
}
