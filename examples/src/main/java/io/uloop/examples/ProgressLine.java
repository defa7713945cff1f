/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.DeviceStatistics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** The line on a terminal that shows how much of the image is there. */
final class ProgressLine implements AutoCloseable {

  private static final long MIB = 1 << 20;

  private final ProgressBar bar;

  ProgressLine(String program, long sizeBytes) {
    bar =
        new ProgressBarBuilder()
            .setTaskName(program)
            .setInitialMax(sizeBytes)
            .setUnit("MiB", MIB)
            .setStyle(ProgressBarStyle.ASCII)
            .setUpdateIntervalMillis(500)
            .hideEta()
            .build();
  }

  /**
   * Tells whether standard error is a terminal.
   *
   * <p>Not asked of System.console(), which newer JDKs give to programs without a terminal, too.
   */
  static boolean wanted() {
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
      return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
    } catch (IOException | UnsupportedOperationException e) {
      // No procfs: then no line, which is only a comfort.
      return false;
    }
  }

  /** Shows the counters. */
  void show(DeviceStatistics now) {
    bar.stepTo(now.presentBytes());
    bar.setExtraMessage(
        "%d reads, %.1f %% hits, %d MiB fetched"
            .formatted(now.reads(), 100 * now.hitRatio(), now.bytesFetched() / MIB));
  }

  @Override
  public void close() {
    bar.close();
  }
}
