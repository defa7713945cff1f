/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

/** {@code ulobdev}: a slower block device, or an image file, becomes a cached device. */
public final class UloBdev {

  private UloBdev() {}

  /**
   * Runs until it is told to stop.
   *
   * @param args see {@code --help}
   */
  public static void main(String[] args) {
    Startup.prepare();
    TunedJvm.enter(UloBdev.class, args);
    new LaunchCommand(
            "ulobdev", "[options] device block_device", "Offers a block device through a cache.")
        .runAndExit(args);
  }
}
