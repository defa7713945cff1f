/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.text.MessageFormat;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.ResourceBundle;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The launchers' log: a line on standard error per warning, and with {@code --verbose} more.
 *
 * <p>Warnings can be held back, as lines, until the launcher has said that it serves: until then
 * standard error is for why it cannot.
 *
 * <p>Takes the place of java.util.logging, which costs start-up time and two lines a record. Found
 * by the JDK through META-INF/services. Standard error is the process's, so the threshold is too.
 */
public final class LaunchLog extends System.LoggerFinder {

  /** More of them help nobody, and cost memory. */
  private static final int MOST_HELD = 100;

  // Static state: what this process shows, as its standard error is one.
  private static volatile System.Logger.Level threshold = System.Logger.Level.ERROR;

  private static final ReentrantLock LOCK = new ReentrantLock();

  /** What is held back; guarded by {@code LOCK}, as is the order of lines. */
  private static final List<String> HELD = new ArrayList<>();

  /** Guarded by {@code LOCK}. */
  private static boolean holding;

  /** How many were too many to hold; guarded by {@code LOCK}. */
  private static long dropped;

  /** For the service loader. */
  public LaunchLog() {}

  /** Sets what is shown from now on. */
  static void show(System.Logger.Level level) {
    threshold = level;
  }

  /** Shows warnings, but later: at {@link #release}. */
  static void hold() {
    LOCK.lock();
    try {
      threshold = System.Logger.Level.WARNING;
      holding = true;
    } finally {
      LOCK.unlock();
    }
  }

  /** Prints what was held back, and from now on each warning at once. */
  static void release() {
    LOCK.lock();
    try {
      holding = false;
      printHeld();
    } finally {
      LOCK.unlock();
    }
  }

  private static void printHeld() {
    HELD.forEach(System.err::println);
    HELD.clear();
    if (dropped > 0) {
      System.err.println("warning: " + dropped + " more lines like these");
      dropped = 0;
    }
  }

  /** Prints a line, or holds it back. An error is printed at once, after what came before it. */
  private static void say(System.Logger.Level level, String line) {
    LOCK.lock();
    try {
      if (holding && level != System.Logger.Level.ERROR) {
        if (HELD.size() < MOST_HELD) {
          HELD.add(line);
        } else {
          dropped++;
        }
        return;
      }
      printHeld();
      System.err.println(line);
    } finally {
      LOCK.unlock();
    }
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
      String reason = thrown == null ? "" : ": " + thrown;
      say(level, level.name().toLowerCase(Locale.ROOT) + ": " + message + reason);
      if (thrown != null && threshold.getSeverity() <= Level.DEBUG.getSeverity()) {
        thrown.printStackTrace(System.err);
      }
    }
  }
}
