/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * The volume of the cache fails or is full.
 *
 * <p>Retryable: there may be room later. What was durable still is. ENOSPC if the volume is full,
 * else EIO. A read that the source can answer never fails with this.
 *
 * @since 0.1
 */
public final class CacheIoException extends UloopException {

  private static final long serialVersionUID = 1L;

  private final boolean full;

  /**
   * Makes one.
   *
   * @param message the file, the offset, the step that failed and why
   * @param full whether the volume is full
   * @param cause what led to it, or null
   */
  public CacheIoException(String message, boolean full, @Nullable Throwable cause) {
    super(message, cause);
    this.full = full;
  }

  @Override
  public boolean retryable() {
    return true;
  }

  @Override
  public Errno errno() {
    return full ? Errno.ENOSPC : Errno.EIO;
  }

  @Override
  public CacheIoException copy() {
    return new CacheIoException(getMessage(), full, this);
  }
}
