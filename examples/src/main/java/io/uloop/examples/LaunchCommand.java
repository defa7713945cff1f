/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.FileSystemException;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/**
 * The command line of a launcher: reads it, runs the {@link Launch}, and says how that ended.
 *
 * <p>{@link PlainArguments} reads a well-formed command line, picocli all others: a line with a
 * mistake in it, or one that asks for help. Starting picocli takes as long as opening the device.
 *
 * <p>Exit codes: 0 after a clean stop, 1 after a failure, 2 for a command line that makes no sense.
 * Failures are one line on standard error.
 */
final class LaunchCommand {

  static final int EXIT_OK = 0;
  static final int EXIT_FAILURE = 1;
  static final int EXIT_USAGE = 2;

  private final String name;
  private final String synopsis;
  private final String purpose;

  /**
   * Makes one.
   *
   * @param name of the program
   * @param synopsis how it is called
   * @param purpose one sentence for the help text
   */
  LaunchCommand(String name, String synopsis, String purpose) {
    this.name = name;
    this.synopsis = synopsis;
    this.purpose = purpose;
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
    LaunchOptions options = new LaunchOptions();
    try {
      if (!PlainArguments.read(args, options)) {
        options = new LaunchOptions();
        if (!parse(args, options, out)) {
          if (out.checkError()) {
            throw new IOException("cannot write standard output");
          }
          return EXIT_OK;
        }
      }
      checkMode(options.mode);
      options.check();
      return new Launch(name, options).run(out, err);
    } catch (IllegalArgumentException e) {
      return fail(err, e, options.verbose, EXIT_USAGE);
    } catch (IOException | InterruptedException | RuntimeException | Error e) {
      return fail(err, e, options.verbose, EXIT_FAILURE);
    }
  }

  /** Lets picocli read the arguments; {@code false} if they asked for help or version only. */
  private boolean parse(String[] args, LaunchOptions options, PrintStream out) {
    CommandLine commandLine = new CommandLine(options).setCommandName(name);
    commandLine
        .getCommandSpec()
        .version(name + " " + version())
        .usageMessage()
        .customSynopsis(name + " " + synopsis)
        .description(purpose, "");
    try {
      commandLine.parseArgs(args);
    } catch (ParameterException e) {
      throw new IllegalArgumentException(e.getMessage() + " (" + name + " --help tells more)", e);
    }
    if (commandLine.isUsageHelpRequested()) {
      commandLine.usage(out);
    } else if (commandLine.isVersionHelpRequested()) {
      commandLine.printVersionHelp(out);
    } else {
      return true;
    }
    return false;
  }

  private static void checkMode(String mode) {
    switch (mode) {
      case "ro" -> {}
      case "cow", "writethrough", "writeback" ->
          throw new IllegalArgumentException("--mode " + mode + " is not in this version yet");
      default ->
          throw new IllegalArgumentException(
              "--mode is ro, cow, writethrough or writeback, not " + mode);
    }
  }

  private int fail(PrintStream err, Throwable e, boolean verbose, int code) {
    err.println(name + ": " + oneLine(e));
    if (verbose) {
      e.printStackTrace(err);
    }
    return code;
  }

  /** Says what happened, in one line; with the type where the message alone would not do. */
  static String oneLine(Throwable e) {
    boolean explained =
        e.getMessage() != null
            && (e instanceof IOException || e instanceof IllegalArgumentException)
            // Their message is only the path.
            && !(e instanceof FileSystemException);
    String text = explained ? String.valueOf(e.getMessage()) : e.toString();
    return text.replaceAll("\\s*\\R\\s*", "; ");
  }

  /** Gives the version of the jar that this runs from. */
  static String version() {
    String version = LaunchCommand.class.getPackage().getImplementationVersion();
    return version != null ? version : "(not from a jar)";
  }
}
