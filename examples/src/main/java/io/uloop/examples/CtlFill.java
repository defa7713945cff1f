/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.core.BackgroundFill;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.io.PrintStream;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code uloctl fill}: fetches what is absent. */
@Command(
    name = "fill",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Fetches all that is absent. A signal stops it, and what was fetched is kept.",
      "Of a device that is served: nbdcopy URI null:"
    })
final class CtlFill implements Callable<Integer> {

  private static final int MOST_FETCHES = 1024;

  private final PrintStream out;

  @Mixin CtlPair options = new CtlPair();

  @Option(
      names = "--rate",
      paramLabel = "bytes",
      description = "the most to fetch per second, as 10M (default: no limit)")
  String rate = "0";

  @Option(
      names = "--fetches",
      paramLabel = "number",
      description = "how many fetches to run at once (default: ${DEFAULT-VALUE})")
  int fetches = 4;

  CtlFill(PrintStream out) {
    this.out = out;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    long most = LaunchOptions.bytes("--rate", rate);
    if (fetches < 1 || fetches > MOST_FETCHES) {
      throw new IllegalArgumentException("--fetches must be 1 to " + MOST_FETCHES + ": " + fetches);
    }
    try (CachedDevice device = options.openWithSource()) {
      AtomicBoolean stopped = new AtomicBoolean();
      AtomicReference<@Nullable BackgroundFill> running = new AtomicReference<>();
      // Heard from before the first byte comes: who sees the cache grow may send one.
      Signals.onStopOnce(
          () -> {
            stopped.set(true);
            BackgroundFill now = running.get();
            if (now != null) {
              now.cancel();
            }
          });
      BackgroundFill fill = device.fill(most == 0 ? Long.MAX_VALUE : most, fetches);
      running.set(fill);
      if (stopped.get()) {
        fill.cancel();
      }
      ProgressLine line =
          ProgressLine.wanted() ? new ProgressLine(CtlCommand.NAME, device.size()) : null;
      Reporter progress = Reporter.start(device, out, 0, line);
      boolean complete;
      try {
        complete = fill.await();
      } finally {
        progress.close();
      }
      device.flush();
      long present = Presence.presentBytes(device);
      out.printf("present %d of %d bytes%n", present, device.size());
      out.flush();
      if (!complete) {
        throw new IOException(
            (stopped.get() ? "stopped" : "not complete")
                + ": %d bytes are absent".formatted(device.size() - present));
      }
    }
    return LaunchCommand.EXIT_OK;
  }
}
