/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.ByteRange;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.io.PrintStream;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code uloctl map}: what is present. */
@Command(
    name = "map",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Prints which ranges of a pair are present: offset, length, state.",
      "Of a device that is served: nbdinfo --map=x-uloop:cached URI"
    })
final class CtlMap implements Callable<Integer> {

  private final PrintStream out;

  @Mixin CtlPair options = new CtlPair();

  @Option(names = "--totals", description = "print how much is present, not where")
  boolean totals;

  CtlMap(PrintStream out) {
    this.out = out;
  }

  @Override
  public Integer call() throws IOException {
    try (CachedDevice device = options.openToLook()) {
      if (totals) {
        printTotals(device, out);
      } else {
        printRanges(device, out);
      }
    }
    out.flush();
    return LaunchCommand.EXIT_OK;
  }

  private static void printRanges(CachedDevice device, PrintStream out) {
    long at = 0;
    while (at < device.size()) {
      Optional<ByteRange> present = device.nextPresent(at);
      long start = present.map(ByteRange::start).orElse(device.size());
      print(out, at, start, "absent");
      at = present.map(ByteRange::end).orElse(device.size());
      print(out, start, at, "present");
    }
  }

  private static void print(PrintStream out, long from, long to, String state) {
    if (from < to) {
      out.printf("%12d %12d  %s%n", from, to - from, state);
    }
  }

  private static void printTotals(CachedDevice device, PrintStream out) {
    long present = Presence.presentBytes(device);
    printShare(out, present, device.size(), "present");
    printShare(out, device.size() - present, device.size(), "absent");
  }

  private static void printShare(PrintStream out, long bytes, long size, String state) {
    double percent = size == 0 ? 0 : 100.0 * bytes / size;
    out.printf(java.util.Locale.ROOT, "%12d %5.1f%%  %s%n", bytes, percent, state);
  }
}
