/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What can be said on a launcher's command line, with picocli's description of it. */
@Command(
    mixinStandardHelpOptions = true,
    sortOptions = false,
    usageHelpAutoWidth = true,
    footer = {
      "",
      "device is one of /dev/nbdN, /dev/loopN, unix:/path/of/socket, tcp:host:port.",
      "Prints 'ready <device> <size>' when it serves. SIGTERM or SIGINT stop it cleanly.",
      "Exit code: 0 stopped cleanly, 1 failed (one line says why), 2 wrong usage."
    })
final class LaunchOptions {

  /** A day, which is also the most that the kernel is told to wait. */
  static final long MOST_SECONDS = 24 * 3600;

  private static final int MOST_BLOCK_BYTES = 1 << 20;

  @Parameters(index = "0", paramLabel = "device", description = "where to offer the image")
  String device = "";

  @Parameters(
      index = "1",
      paramLabel = "source",
      description = "where the image is: a URL or a path")
  String place = "";

  @Option(
      names = "-b",
      paramLabel = "bitmap",
      description = "bitmap file (default: in the user's cache directory)")
  @Nullable Path bitmap;

  @Option(
      names = "-c",
      paramLabel = "cache",
      description = "cache file (default: in the user's cache directory)")
  @Nullable Path cache;

  @Option(
      names = "-t",
      paramLabel = "seconds",
      description = "within how long a read of the source ends (default: ${DEFAULT-VALUE})")
  long timeoutSeconds = 30;

  @Option(
      names = "--mode",
      paramLabel = "mode",
      description = "ro; cow, writethrough and writeback are to come (default: ${DEFAULT-VALUE})")
  String mode = "ro";

  @Option(
      names = "--block-size",
      paramLabel = "bytes",
      description = "what is kept or not as one (default: 4096, or as the pair is)")
  String blockSize = "0";

  @Option(
      names = "--max-cache",
      paramLabel = "bytes",
      description = "how much of the image to keep at most, as 500M or 2G (default: all)")
  String maxCache = "0";

  @Option(names = "--export", paramLabel = "name", description = "name of the export over NBD")
  String export = "";

  @Option(
      names = "--header",
      paramLabel = "'Name: value'",
      description = "header for every request of an HTTP source; repeatable")
  List<String> headers = new ArrayList<>();

  @Option(
      names = "-o",
      paramLabel = "key=value",
      description = "property: scheme.key is the source's, a plain key the device's; repeatable")
  Map<String, String> properties = new LinkedHashMap<>();

  @Option(
      names = "--plugins",
      paramLabel = "dir",
      description = "directory of jars with sources of other schemes")
  @Nullable Path plugins;

  @Option(names = "--offline", description = "serve what is there, and never ask the source")
  boolean offline;

  @Option(names = "--recreate", description = "drop the pair's content if it is of another source")
  boolean recreate;

  @Option(
      names = "--stats",
      paramLabel = "seconds",
      description = "print counters to standard output every so often, and at the end")
  long statsSeconds;

  @Option(
      names = {"-v", "--verbose"},
      description = "say what happens; stack traces for failures")
  boolean verbose;

  /** Reads a number of bytes, with K, M, G or T for powers of 1024. */
  static long bytes(String option, String text) {
    String digits = text.toUpperCase(Locale.ROOT).replaceFirst("I?B?$", "");
    int power = digits.isEmpty() ? -1 : "KMGT".indexOf(digits.charAt(digits.length() - 1));
    try {
      String number = power < 0 ? digits : digits.substring(0, digits.length() - 1);
      long value = Math.multiplyExact(Long.parseLong(number), 1L << (10 * (power + 1)));
      if (value >= 0) {
        return value;
      }
    } catch (NumberFormatException | ArithmeticException e) {
      throw new IllegalArgumentException(option + " is no number of bytes: " + text, e);
    }
    throw new IllegalArgumentException(option + " is no number of bytes: " + text);
  }

  /**
   * Checks the numbers, before anything is made.
   *
   * @throws IllegalArgumentException if one makes no sense; it says what would
   */
  void check() {
    timeout(timeoutSeconds);
    if (statsSeconds < 0 || statsSeconds > MOST_SECONDS) {
      throw new IllegalArgumentException(
          "--stats must be 0 (never) to " + MOST_SECONDS + " seconds: " + statsSeconds);
    }
    blockSizeBytes();
    bytes("--max-cache", maxCache);
  }

  /** Gives the block size, 0 for the usual one. */
  int blockSizeBytes() {
    long value = bytes("--block-size", blockSize);
    if (value > MOST_BLOCK_BYTES) {
      throw new IllegalArgumentException(
          "--block-size must be at most " + MOST_BLOCK_BYTES + " bytes: " + blockSize);
    }
    return (int) value;
  }

  /** Gives the timeout of the source. */
  Duration timeout() {
    return timeout(timeoutSeconds);
  }

  /** Reads the {@code -t} of any program. */
  static Duration timeout(long seconds) {
    if (seconds < 1 || seconds > MOST_SECONDS) {
      throw new IllegalArgumentException(
          "-t: timeout must be positive, 1 to " + MOST_SECONDS + " seconds: " + seconds);
    }
    return Duration.ofSeconds(seconds);
  }
}
