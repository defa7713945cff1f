/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The source broke its own protocol: a wrong range, a wrong length, bytes that cannot be.
 *
 * <p>Not retryable as a rule. The cache is unharmed, nothing of the answer was stored. EIO.
 *
 * @since 0.1
 */
public final class SourceProtocolException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public SourceProtocolException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public SourceProtocolException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public SourceProtocolException copy() {
    return new SourceProtocolException(getMessage(), this);
  }
}
