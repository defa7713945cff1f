/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;

/**
 * The kernel's hold on what is served: netlink, ioctl or loop.
 *
 * <p>Made attached. {@link #end} is called once, by the owner; {@link #attached} tells if somebody
 * else was faster.
 */
interface KernelBinding {

  KernelDevice device();

  /** Tells whether the device is still configured, and what it cannot do without lives. */
  boolean attached() throws IOException;

  /**
   * Says what ended, of what the device cannot do without, where it is not attached any more but
   * nobody detached it.
   *
   * @return a few words; empty if it was detached
   */
  default Optional<String> broken() throws IOException {
    return Optional.empty();
  }

  /**
   * Ends it; what the kernel has in flight fails.
   *
   * @param open the device, held open by the caller until after this call
   */
  void end(NativeFd open) throws IOException;

  /**
   * Waits until the device is free, which it is after the last opener has closed it, and gives back
   * what the binding held. For once, after {@link #end}.
   *
   * @return whether it is free
   */
  boolean awaitFree(Duration limit) throws IOException;
}
