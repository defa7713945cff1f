/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.PrintStream;
import java.text.MessageFormat;
import java.util.ResourceBundle;
import org.jspecify.annotations.Nullable;

/**
 * The launchers' log: a line on standard error per warning, and with {@code --verbose} more.
 *
 * <p>Takes the place of java.util.logging, which costs start-up time and two lines a record. Found
 * by the JDK through META-INF/services. Standard error is the process's, so the threshold is too.
 */
public final class LaunchLog extends System.LoggerFinder {

  // The one piece of static state: what this process shows. Set once, before anything logs.
  private static volatile System.Logger.Level threshold = System.Logger.Level.ERROR;

  /** For the service loader. */
  public LaunchLog() {}

  /** Sets what is shown from now on. */
  static void show(System.Logger.Level level) {
    threshold = level;
  }

  @Override
  public System.Logger getLogger(String name, Module module) {
    return new Line(name);
  }

  private record Line(String name) implements System.Logger {

    @Override
    public String getName() {
      return name;
    }

    @Override
    public boolean isLoggable(Level level) {
      // Only what is ours: the JDK and libraries log through here, too.
      return name.startsWith("io.uloop")
          && level != Level.OFF
          && level.getSeverity() >= threshold.getSeverity();
    }

    @Override
    public void log(
        Level level,
        @Nullable ResourceBundle bundle,
        @Nullable String message,
        @Nullable Throwable thrown) {
      if (isLoggable(level)) {
        print(level, String.valueOf(message), thrown);
      }
    }

    @Override
    public void log(
        Level level,
        @Nullable ResourceBundle bundle,
        @Nullable String format,
        @Nullable Object @Nullable ... parameters) {
      if (isLoggable(level)) {
        String text = String.valueOf(format);
        boolean plain = parameters == null || parameters.length == 0;
        print(level, plain ? text : MessageFormat.format(text, parameters), null);
      }
    }

    private void print(Level level, String message, @Nullable Throwable thrown) {
      PrintStream err = System.err;
      String reason = thrown == null ? "" : ": " + thrown;
      err.println(level.name().toLowerCase(java.util.Locale.ROOT) + ": " + message + reason);
      if (thrown != null && threshold.getSeverity() <= Level.DEBUG.getSeverity()) {
        thrown.printStackTrace(err);
      }
    }
  }
}
