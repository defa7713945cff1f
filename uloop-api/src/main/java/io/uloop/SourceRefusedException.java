/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The source answers, and says no: not found, not allowed, cannot serve ranges, not a block device.
 *
 * <p>Not retryable. The cache is unharmed. EIO.
 *
 * @since 0.1
 */
public final class SourceRefusedException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public SourceRefusedException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public SourceRefusedException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public SourceRefusedException copy() {
    return new SourceRefusedException(getMessage(), this);
  }
}
