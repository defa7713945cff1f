/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.nbd.KernelDevices;
import java.io.IOException;
import java.io.PrintStream;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code uloctl list}: which kernel devices are attached, and by whom. */
@Command(
    name = "list",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Lists attached kernel devices: all of nbd, whoever attached them, and the loop devices of",
      "these programs. A line has device, size, whether it is served, identifier, users."
    })
final class CtlList implements Callable<Integer> {

  private final PrintStream out;

  CtlList(PrintStream out) {
    this.out = out;
  }

  @Override
  public Integer call() throws IOException {
    for (KernelDevices.Attached device : KernelDevices.list()) {
      out.printf(
          "%-11s %14d  %s; %s; %s%n",
          device.place(),
          device.sizeBytes(),
          state(device),
          device.identifier().isEmpty() ? "no identifier" : device.identifier(),
          device.users().isEmpty() ? "not in use" : String.join(", ", device.users()));
    }
    out.flush();
    return LaunchCommand.EXIT_OK;
  }

  /** One of another program, such as nbd-client, has a server that nobody here knows. */
  private static String state(KernelDevices.Attached device) {
    if (device.server().isEmpty()) {
      return "of another program";
    }
    boolean lives = ProcessHandle.of(Long.parseLong(device.server())).isPresent();
    if (!device.served()) {
      return "not served, was by process " + device.server();
    }
    return lives
        ? "served by process " + device.server()
        : "served, but not looked after since process " + device.server();
  }
}
