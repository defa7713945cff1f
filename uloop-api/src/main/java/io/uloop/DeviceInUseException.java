/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;

/**
 * An attachment was asked to end while somebody uses its device, and refuses.
 *
 * <p>The device stays attached and served. A second {@link DeviceTransport.Attachment#close} forces
 * it.
 *
 * @since 0.1
 */
public final class DeviceInUseException extends IOException {

  private static final long serialVersionUID = 1L;

  /**
   * Makes one.
   *
   * @param message the device, and who uses it
   */
  public DeviceInUseException(String message) {
    super(message);
  }
}
