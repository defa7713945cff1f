/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * Reads the command lines that are plain: options and their values as words of their own, each
 * option at most once unless it is repeatable, and two parameters.
 *
 * <p>It must give what picocli gives for them, which a test compares, and leave all others to it.
 */
final class PlainArguments {

  private PlainArguments() {}

  /**
   * Reads a command line.
   *
   * @param into gets what it says; of no use afterwards if this gives {@code false}
   * @return whether it was plain
   */
  static boolean read(String[] args, LaunchOptions into) {
    Set<String> seen = new HashSet<>();
    int parameters = 0;
    for (int i = 0; i < args.length; i++) {
      String arg = args[i];
      // Words that are empty or begin with an @ mean something to picocli.
      if (arg.isEmpty() || arg.startsWith("@")) {
        return false;
      } else if (!arg.startsWith("-")) {
        parameters++;
        if (parameters == 1) {
          into.device = arg;
        } else {
          into.place = arg;
        }
      } else if (flag(arg, into)) {
        if (!seen.add(arg)) {
          return false;
        }
      } else {
        i++;
        boolean once = !arg.equals("-o") && !arg.equals("--header");
        if (i == args.length
            || args[i].isEmpty()
            || args[i].startsWith("-")
            || args[i].startsWith("@")
            || !value(arg, args[i], into)
            || (once && !seen.add(arg))) {
          return false;
        }
      }
    }
    return parameters == 2;
  }

  private static boolean flag(String name, LaunchOptions into) {
    switch (name) {
      case "--offline" -> into.offline = true;
      case "--recreate" -> into.recreate = true;
      case "--verbose" -> into.verbose = true;
      default -> {
        return false;
      }
    }
    return true;
  }

  private static boolean value(String name, String value, LaunchOptions into) {
    switch (name) {
      case "-b" -> into.bitmap = Path.of(value);
      case "-c" -> into.cache = Path.of(value);
      case "--mode" -> into.mode = value;
      case "--block-size" -> into.blockSize = value;
      case "--max-cache" -> into.maxCache = value;
      case "--export" -> into.export = value;
      case "--plugins" -> into.plugins = Path.of(value);
      case "--header" -> into.headers.add(value);
      case "-t" -> {
        return number(value, seconds -> into.timeoutSeconds = seconds);
      }
      case "--stats" -> {
        return number(value, seconds -> into.statsSeconds = seconds);
      }
      case "-o" -> {
        int equals = value.indexOf('=');
        if (equals <= 0) {
          return false;
        }
        into.properties.put(value.substring(0, equals), value.substring(equals + 1));
      }
      default -> {
        return false;
      }
    }
    return true;
  }

  private static boolean number(String text, java.util.function.LongConsumer taker) {
    if (!text.chars().allMatch(c -> c >= '0' && c <= '9') || text.length() > 9) {
      return false;
    }
    taker.accept(Long.parseLong(text));
    return true;
  }
}
