/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;

/**
 * The command line of {@code uloctl}; each command is a class of its own, {@code Ctl...}.
 *
 * <p>Exit codes and failures are as those of {@link LaunchCommand}.
 */
@Command(
    name = CtlCommand.NAME,
    mixinStandardHelpOptions = true,
    versionProvider = CtlCommand.Version.class,
    sortOptions = false,
    usageHelpAutoWidth = true,
    description = "Looks after pairs of files and attached devices.",
    footer = {
      "",
      "A pair is named by -b and -c, or by the URL that it is of. It must not be in use.",
      "Exit code: 0 done, 1 failed (one line says why), 2 wrong usage."
    })
final class CtlCommand {

  static final String NAME = "uloctl";

  private final OutputStream raw;
  private final PrintStream err;

  @Option(
      names = {"-v", "--verbose"},
      scope = ScopeType.INHERIT,
      description = "say what happens; stack traces for failures")
  boolean verbose;

  /**
   * Makes one.
   *
   * @param out standard output, as {@link StandardOutput} takes it
   * @param err where failures are said
   */
  CtlCommand(OutputStream out, PrintStream err) {
    this.raw = out;
    this.err = err;
  }

  /**
   * Runs one command. What it prints is what it was run for, so that it has failed if that cannot
   * be written.
   *
   * @return the exit code
   */
  int run(String[] args) {
    LaunchLog.show(System.Logger.Level.WARNING);
    StandardOutput printed = new StandardOutput(raw);
    int code;
    try {
      code = execute(args, printed.stream());
    } catch (Error e) { // which picocli lets through; of a plug-in, say
      code = fail(e);
    }
    try {
      printed.finish();
    } catch (IOException e) {
      // One line: of a command that failed, why.
      return code == LaunchCommand.EXIT_OK ? fail(e) : code;
    }
    return code;
  }

  private int execute(String[] args, PrintStream out) {
    return new CommandLine(this)
        .addSubcommand(new CtlMap(out))
        .addSubcommand(new CtlFill(out))
        .addSubcommand(new CtlExport())
        .addSubcommand(new CtlVerify(out, err))
        .addSubcommand(new CtlDiscard(out))
        // Its own: it serves, whether or not somebody hears that it is ready.
        .addSubcommand(new CtlAttach(new StandardOutput(raw).stream(), err))
        .addSubcommand(new CtlDetach(out))
        .addSubcommand(new CtlList(out))
        .setOut(new PrintWriter(out, true, StandardCharsets.UTF_8))
        .setExecutionStrategy(
            parsed -> {
              if (verbose) {
                LaunchLog.show(System.Logger.Level.DEBUG);
              }
              if (!parsed.hasSubcommand()
                  && !parsed.isUsageHelpRequested()
                  && !parsed.isVersionHelpRequested()) {
                throw new ParameterException(parsed.commandSpec().commandLine(), "no command");
              }
              return new CommandLine.RunLast().execute(parsed);
            })
        .setParameterExceptionHandler(
            (wrong, line) -> fail(wrong, wrong.getMessage() + " (" + NAME + " --help tells more)"))
        .setExecutionExceptionHandler((failure, line, parsed) -> fail(failure))
        .execute(args);
  }

  private int fail(Exception usage, String text) {
    say(usage, text.replaceAll("\\s*\\R\\s*", "; "));
    return LaunchCommand.EXIT_USAGE;
  }

  private int fail(Throwable failure) {
    say(failure, LaunchCommand.oneLine(failure));
    return failure instanceof IllegalArgumentException
        ? LaunchCommand.EXIT_USAGE
        : LaunchCommand.EXIT_FAILURE;
  }

  private void say(Throwable failure, String line) {
    err.println(NAME + ": " + line);
    if (verbose) {
      failure.printStackTrace(err);
    }
  }

  /** What {@code --version} says. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {NAME + " " + LaunchCommand.version()};
    }
  }
}
