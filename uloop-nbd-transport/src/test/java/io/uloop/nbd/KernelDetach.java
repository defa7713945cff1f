/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

/** A program of the guest's tests: takes a device away from whoever serves it. */
final class KernelDetach {

  private KernelDetach() {}

  /**
   * Detaches.
   *
   * @param args the place
   */
  public static void main(String[] args) throws Exception {
    KernelDevices.detach(args[0], false);
  }
}
