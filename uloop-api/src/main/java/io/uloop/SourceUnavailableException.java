/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The source cannot be reached, or did not answer in time.
 *
 * <p>Retryable: the source may come back. The cache is unharmed. EIO.
 *
 * @since 0.1
 */
public final class SourceUnavailableException extends UloopException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the resource, the place, what was expected and what came
   */
  public SourceUnavailableException(String message) {
    this(message, null);
  }

  /**
   * Makes one with a cause.
   *
   * @param message the resource, the place, what was expected and what came
   * @param cause what led to it, or null
   */
  public SourceUnavailableException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }

  @Override
  public boolean retryable() {
    return true;
  }

  @Override
  public SourceUnavailableException copy() {
    return new SourceUnavailableException(getMessage(), this);
  }
}
