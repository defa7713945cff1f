/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.channels.ClosedChannelException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code uloctl verify}: holds what is present against its checksums. */
@Command(
    name = "verify",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Reads all that is present and holds it against its checksums. A wrong block is absent",
      "afterwards, to be fetched again when it is read. Exit code 1 if there was one."
    })
final class CtlVerify implements Callable<Integer> {

  private final PrintStream out;
  private final PrintStream err;

  @Mixin CtlPair options = new CtlPair();

  CtlVerify(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws IOException {
    try (CachedDevice device = options.openToLook()) {
      Signals.onStopOnce(() -> close(device));
      CachedDevice.Verification result;
      try {
        result = device.verify();
      } catch (ClosedChannelException e) {
        throw new IOException("stopped before all was verified", e);
      }
      out.printf("verified %d blocks, %d wrong%n", result.blocks(), result.wrong());
      out.flush();
      if (result.wrong() > 0) {
        throw new IOException(
            result.wrong()
                + " of "
                + result.blocks()
                + " blocks were wrong; they are absent now and will be fetched again");
      }
    }
    return LaunchCommand.EXIT_OK;
  }

  private void close(CachedDevice device) {
    try {
      device.close();
    } catch (IOException e) {
      err.println(CtlCommand.NAME + ": " + LaunchCommand.oneLine(e));
    }
  }
}
