/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/** Finds out whether nobody uses a device, and keeps it so. */
final class KernelClaim {

  private KernelClaim() {}

  /**
   * Opens the device exclusively, which keeps others from mounting it until it is closed.
   *
   * @param wait how long short-lived users, such as udev, are waited for
   * @return the claim, empty if somebody uses the device
   */
  static Optional<NativeFd> take(KernelDevice device, Duration wait) throws IOException {
    NativeFd[] claim = new NativeFd[1];
    boolean free =
        KernelPoll.until(
            wait,
            () -> {
              Optional<NativeFd> taken = tryTake(device);
              taken.ifPresent(fd -> claim[0] = fd);
              return taken.isPresent();
            });
    return free ? Optional.of(claim[0]) : Optional.empty();
  }

  private static Optional<NativeFd> tryTake(KernelDevice device) throws IOException {
    NativeFd claim;
    try {
      claim = device.open(KernelDevice.O_RDONLY | KernelDevice.O_EXCL);
    } catch (NativeException e) {
      if (e.errno() == NativeException.EBUSY) {
        return Optional.empty();
      }
      throw e;
    }
    // An ordinary opener does not stand in the way of an exclusive one.
    if (KernelHolders.openers(device).isEmpty()) {
      return Optional.of(claim);
    }
    claim.close();
    return Optional.empty();
  }

  /** Says who uses the device, for a message. */
  static String users(KernelDevice device) throws IOException {
    List<String> users = KernelHolders.of(device);
    return users.isEmpty() ? "somebody this process cannot see" : String.join(", ", users);
  }
}
