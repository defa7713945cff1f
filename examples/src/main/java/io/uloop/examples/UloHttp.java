/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

/** {@code ulohttp}: an image behind HTTP, or any other source, becomes a device. */
public final class UloHttp {

  private UloHttp() {}

  /**
   * Runs until it is told to stop.
   *
   * @param args see {@code --help}
   */
  public static void main(String[] args) {
    Startup.prepare();
    TunedJvm.enter(UloHttp.class, args);
    new LaunchCommand("ulohttp", "[options] device URL", "Offers an image behind HTTP as a device.")
        .runAndExit(args);
  }
}
