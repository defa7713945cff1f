/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * A write to a device or source that is read-only.
 *
 * <p>Not retryable. Nothing was touched. EPERM.
 *
 * @since 0.1
 */
public final class ReadOnlyException extends UloopException {

  private static final long serialVersionUID = 1L;

  private final String resource;

  /**
   * Makes one.
   *
   * @param resource what is read-only, without credentials
   */
  public ReadOnlyException(String resource) {
    this(resource, null);
  }

  private ReadOnlyException(String resource, @Nullable Throwable cause) {
    super("read-only: " + resource, cause);
    this.resource = resource;
  }

  @Override
  public Errno errno() {
    return Errno.EPERM;
  }

  @Override
  public ReadOnlyException copy() {
    return new ReadOnlyException(resource, this);
  }
}
