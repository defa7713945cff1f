/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

/** {@code uloctl}: looks after pairs and attached devices. */
public final class UloCtl {

  private UloCtl() {}

  /**
   * Runs one command.
   *
   * @param args see {@code --help}
   */
  public static void main(String[] args) {
    Startup.prepare();
    System.exit(new CtlCommand(System.out, System.err).run(args));
  }
}
