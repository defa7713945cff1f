/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.DeviceTransport.Attachment;
import java.nio.file.Path;
import java.util.Map;

/** A program of the guest's tests: serves a file as a writable kernel device until it is killed. */
final class KernelServeFile {

  private KernelServeFile() {}

  /**
   * Serves.
   *
   * @param args the file and the place
   */
  public static void main(String[] args) throws Exception {
    KernelMemory.becomeFlusher();
    KernelMemory.lock();
    try (KernelTestDevice device = KernelTestDevice.writable(Path.of(args[0]));
        Attachment attachment = new KernelTransport().attach(device, args[1], Map.of())) {
      System.out.println("ready " + attachment.place());
      attachment.await();
    }
    System.out.println("ended");
  }
}
