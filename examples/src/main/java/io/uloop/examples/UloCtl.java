/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.FileDescriptor;
import java.io.FileOutputStream;

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
    FileOutputStream out = new FileOutputStream(FileDescriptor.out);
    System.exit(new CtlCommand(out, System.err).run(args));
  }
}
