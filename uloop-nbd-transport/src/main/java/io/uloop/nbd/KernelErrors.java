/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

/** Says in words what the kernel's nbd and loop drivers mean by an error number. */
final class KernelErrors {

  private KernelErrors() {}

  /** Gives the words, fit for the end of a sentence. */
  static String text(int errno) {
    return switch (errno) {
      case NativeException.EPERM, NativeException.EACCES ->
          "not permitted: attaching needs CAP_SYS_ADMIN (run as root, or give the capability)";
      case NativeException.EBUSY -> "device or resource busy";
      case NativeException.EINVAL ->
          "invalid argument: no such device, not configured, or a socket the kernel does not take";
      case NativeException.ENOENT -> "no such file or family";
      case NativeException.ENODEV, NativeException.ENXIO -> "no such device";
      default -> "error " + errno;
    };
  }
}
