/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The source has other bytes than when the cache was begun.
 *
 * <p>Not retryable until the cache is made again. Nothing of the new generation was stored; present
 * blocks stay readable. The message names the old and the new validator or size. EIO.
 *
 * @since 0.1
 */
public final class SourceChangedException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public SourceChangedException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public SourceChangedException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public SourceChangedException copy() {
    return new SourceChangedException(getMessage(), this);
  }
}
