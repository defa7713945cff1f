/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

/** What makes a launcher start quickly. */
final class Startup {

  private Startup() {}

  /** Settles, before any library is loaded, what this process does without. */
  static void prepare() {
    // Netty's flight recorder events cost a fifth of a second when its first buffer is made.
    System.setProperty("io.netty.jfr.enabled", "false");
  }
}
