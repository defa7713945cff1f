/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import org.jspecify.annotations.Nullable;

/**
 * Is told how a non-blocking read ended.
 *
 * @since 0.1
 */
@FunctionalInterface
public interface ReadCompletion {

  /**
   * Takes the end of the read; called exactly once.
   *
   * <p><b>Threads:</b> the caller's own, before the read returns, or one of the device's. Must not
   * block and must not throw; no lock of the device is held.
   *
   * @param failure null if the buffer is filled, else why it is not: an {@link java.io.IOException}
   *     as a blocking read throws it, or an unchecked exception
   */
  void done(@Nullable Throwable failure);
}
