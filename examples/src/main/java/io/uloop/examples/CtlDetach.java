/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.DeviceInUseException;
import io.uloop.nbd.KernelDevices;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code uloctl detach}: takes devices away, also those that nobody serves any more. */
@Command(
    name = "detach",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Detaches kernel devices: an nbd device whoever serves it, a loop device that nobody serves.",
      "Refused while one is in use, unless forced."
    })
final class CtlDetach implements Callable<Integer> {

  private final PrintStream out;

  @Parameters(arity = "1..*", paramLabel = "device", description = "/dev/nbdN or /dev/loopN")
  List<String> devices = new ArrayList<>();

  @Option(
      names = {"-f", "--force"},
      description = "also if somebody uses it; what is in flight fails")
  boolean force;

  CtlDetach(PrintStream out) {
    this.out = out;
  }

  @Override
  public Integer call() throws IOException {
    for (String device : devices) {
      try {
        KernelDevices.detach(device, force);
      } catch (DeviceInUseException e) {
        throw new IOException(e.getMessage() + " (--force detaches all the same)", e);
      }
      out.println("detached " + device);
      out.flush();
    }
    return LaunchCommand.EXIT_OK;
  }
}
