/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockDevice;
import io.uloop.DeviceStatistics;
import java.io.PrintStream;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Shows a device's counters now and then: lines for programs, a progress line on a terminal. */
final class Reporter implements AutoCloseable {

  private static final long PROGRESS_MILLIS = 500;

  private final BlockDevice device;
  private final PrintStream out;
  private final long statsMillis;
  private final @Nullable ProgressLine progress;
  private final CountDownLatch end = new CountDownLatch(1);
  private final Thread thread = new Thread(this::run, "uloop-report-1");

  private Reporter(
      BlockDevice device, PrintStream out, long statsMillis, @Nullable ProgressLine progress) {
    this.device = device;
    this.out = out;
    this.statsMillis = statsMillis;
    this.progress = progress;
  }

  /**
   * Begins to report.
   *
   * @param statsSeconds how often to print a line of counters, and at the end; 0 for never
   * @param progress the line on a terminal, if there is one
   */
  static Reporter start(
      BlockDevice device, PrintStream out, long statsSeconds, @Nullable ProgressLine progress) {
    Reporter reporter =
        new Reporter(device, out, TimeUnit.SECONDS.toMillis(statsSeconds), progress);
    if (statsSeconds > 0 || progress != null) {
      reporter.thread.setDaemon(true);
      reporter.thread.start();
    }
    return reporter;
  }

  private void run() {
    long tick = progress != null ? PROGRESS_MILLIS : statsMillis;
    long sincePrinted = 0;
    try {
      while (!end.await(tick, TimeUnit.MILLISECONDS)) {
        sincePrinted += tick;
        if (progress != null) {
          progress.show(device.statistics());
        }
        if (statsMillis > 0 && sincePrinted >= statsMillis) {
          sincePrinted = 0;
          print();
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void print() {
    DeviceStatistics now = device.statistics();
    out.println(
        "stats reads=%d bytes-read=%d hits=%d misses=%d joins=%d fetches=%d bytes-fetched=%d"
                .formatted(
                    now.reads(),
                    now.bytesRead(),
                    now.hits(),
                    now.misses(),
                    now.joins(),
                    now.fetches(),
                    now.bytesFetched())
            + " fetch-failures=%d present-bytes=%d hit-ratio=%.4f"
                .formatted(now.fetchFailures(), now.presentBytes(), now.hitRatio()));
    out.flush();
  }

  /** Ends the reports with the last counters; the device must still be open. */
  @Override
  public void close() {
    end.countDown();
    if (progress != null) {
      progress.close();
    }
    if (statsMillis > 0) {
      print();
    }
  }
}
