/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.UloopException;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParseResult;

/**
 * The command line of a launcher: reads it, runs the {@link Launch}, and says how that ended.
 *
 * <p>Exit codes: 0 after a clean stop, 1 after a failure, 2 for a command line that makes no sense.
 * Failures are one line on standard error.
 */
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
final class LaunchCommand {

  static final int EXIT_OK = 0;
  static final int EXIT_FAILURE = 1;
  static final int EXIT_USAGE = 2;

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

  @Option(names = "--export", paramLabel = "name", description = "name of the export over NBD")
  String export = "";

  @Option(
      names = "--header",
      paramLabel = "'Name: value'",
      description = "header for every request of an HTTP source; repeatable")
  List<String> headers = List.of();

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

  @Option(names = "--offline", description = "serve what is there without asking the source first")
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

  private final String name;
  private final CommandLine commandLine;

  /**
   * Makes one.
   *
   * @param name of the program
   * @param synopsis how it is called
   * @param purpose one sentence for the help text
   */
  LaunchCommand(String name, String synopsis, String purpose) {
    this.name = name;
    commandLine = new CommandLine(this).setCommandName(name);
    commandLine
        .getCommandSpec()
        .usageMessage()
        .customSynopsis(name + " " + synopsis)
        .description(purpose, "");
  }

  /** Runs the program and ends the process. */
  void runAndExit(String[] args) {
    System.exit(run(args, System.out, System.err));
  }

  /**
   * Runs the program.
   *
   * @return the exit code
   */
  int run(String[] args, PrintStream out, PrintStream err) {
    try {
      ParseResult parsed = commandLine.parseArgs(args);
      if (parsed.isUsageHelpRequested()) {
        commandLine.usage(out);
        return EXIT_OK;
      } else if (parsed.isVersionHelpRequested()) {
        out.println(name + " " + version());
        return EXIT_OK;
      }
      checkMode();
      return new Launch(this).run(out, err);
    } catch (ParameterException | IllegalArgumentException e) {
      return fail(err, e, EXIT_USAGE);
    } catch (IOException | InterruptedException | RuntimeException | LinkageError e) {
      return fail(err, e, EXIT_FAILURE);
    }
  }

  private void checkMode() {
    switch (mode) {
      case "ro" -> {}
      case "cow", "writethrough", "writeback" ->
          throw new IllegalArgumentException("--mode " + mode + " is not in this version yet");
      default ->
          throw new IllegalArgumentException(
              "--mode is ro, cow, writethrough or writeback, not " + mode);
    }
  }

  private int fail(PrintStream err, Throwable e, int code) {
    err.println(name + ": " + oneLine(e));
    if (verbose) {
      e.printStackTrace(err);
    }
    return code;
  }

  /** Says what happened, in one line; what is not ours to explain is shown with its type. */
  static String oneLine(Throwable e) {
    boolean explained =
        e instanceof UloopException
            || e instanceof ParameterException
            || e instanceof IllegalArgumentException;
    String text = explained ? String.valueOf(e.getMessage()) : e.toString();
    return text.replaceAll("\\s*\\R\\s*", "; ");
  }

  /** Gives the program's name. */
  String name() {
    return name;
  }

  private static String version() {
    String version = LaunchCommand.class.getPackage().getImplementationVersion();
    return version != null ? version : "(not from a jar)";
  }

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

  /** Gives the timeout of the source. */
  Duration timeout() {
    return Duration.ofSeconds(timeoutSeconds);
  }
}
