/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Has a launcher run in a JVM with the options that suit it, which a jar's manifest cannot name.
 *
 * <p>The process replaces its program by the same one ({@link Reexec}) with options in front of the
 * JVM's other options. This takes some 60 ms, once; docs/performance.md has what it brings.
 *
 * <pre>
 *   as it was started --all is plain, as far as the command line says--> PLAIN
 *                     --else--> CIPHERS
 *   PLAIN --the source turns out to be enciphered, before the pair is opened--> CIPHERS
 * </pre>
 *
 * <p>{@link #PLAIN}: the first compiler only, and early. A launcher waits for system calls, and its
 * first seconds are those that matter: code that only counts its calls is slower, and the second
 * compiler takes the processor time that a copy needs. Ciphers cannot do without the second
 * compiler, which has the processor's instructions for them: {@link #CIPHERS} has it come in early
 * for these and late for the rest, and the first compiler's code counts calls and loops but not
 * what types and branches it sees. In both, new objects get 32 MiB, as a launcher that holds a
 * quarter of a gigabyte for want of a collection is a bad neighbour.
 *
 * <p>Nothing is replaced where somebody has chosen for himself: a command line with {@code -XX}
 * options, agents or a debugger, or options in the environment; nor with {@code
 * -Duloop.tuned-jvm=false}. Where it cannot be done (no {@code /proc}, JNA cannot be loaded), the
 * launcher runs in the JVM that it has.
 *
 * <p><b>Threads:</b> the program's first one only.
 *
 * <p><b>Source:</b> the java command's manual for the options.
 */
final class TunedJvm {

  /** Says that it is done, or is not to be done. */
  private static final String PROPERTY = "uloop.tuned-jvm";

  private static final String PLAIN_VALUE = "plain";

  /** For data that are not enciphered. */
  static final List<String> PLAIN =
      options(PLAIN_VALUE, "-XX:TieredStopAtLevel=1", "-XX:CompileThresholdScaling=0.5");

  /** For data that are enciphered, or may be. */
  static final List<String> CIPHERS =
      options(
          "ciphers",
          "-XX:-C1ProfileCalls",
          "-XX:-C1ProfileVirtualCalls",
          "-XX:-C1ProfileInlinedCalls",
          "-XX:-C1ProfileBranches",
          "-XX:-C1ProfileCheckcasts",
          // Ten times the defaults.
          "-XX:Tier4InvocationThreshold=50000",
          "-XX:Tier4MinInvocationThreshold=6000",
          "-XX:Tier4CompileThreshold=150000",
          "-XX:Tier4BackEdgeThreshold=400000",
          // But for ciphers the default's.
          "-XX:CompileCommand=quiet",
          "-XX:CompileCommand=CompileThresholdScaling,com.sun.crypto.provider.*::*,0.1");

  /** With any of them the command line says itself how the JVM is to be. */
  private static final List<String> OWN_CHOICE =
      List.of(
          "@",
          "-XX",
          "-agent",
          "-javaagent",
          "-Xdebug",
          "-Xrun",
          "-Xint",
          "-Xcomp",
          "-Xshare",
          "-Dcom.sun.management");

  private static final List<String> OWN_CHOICE_VARIABLES =
      List.of("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS");

  private static final List<String> SPEAK_OF_CIPHERS =
      List.of("https:", "s3:", "tls", "ca-file", "client-cert", "--plugins");

  // <sys/stat.h>
  private static final int S_IFMT = 0xf000;
  private static final int S_IFIFO = 0x1000;
  private static final int S_IFCHR = 0x2000;

  /** By then somebody may want to stop it: it has waited for a server. */
  private static final long SIGNAL_NANOS = TimeUnit.MILLISECONDS.toNanos(30);

  /** JDK 24 and later warn of native code that a jar's manifest has not enabled (JEP 472). */
  private static final boolean WARNS_OF_NATIVE_CODE = Runtime.version().feature() >= 24;

  /** What can replace a JVM for plain data; null in any other. */
  private static @Nullable Reexec plain;

  private TunedJvm() {}

  private static List<String> options(String value, String... more) {
    List<String> options = new ArrayList<>();
    options.add("-D" + PROPERTY + "=" + value);
    options.add("-XX:+IgnoreUnrecognizedVMOptions"); // another JVM may not have them
    // The collector would let it grow as long as that is quickest, to a quarter of a gigabyte.
    options.add("-XX:MaxNewSize=32m");
    options.addAll(List.of(more));
    return List.copyOf(options);
  }

  /**
   * Starts the program anew with the options, or returns, if it has them or is not to have them.
   * First thing in {@code main}: no other thread of the program may be there.
   *
   * @param main the class that was started
   * @param args what it was given
   */
  static void enter(Class<?> main, String[] args) {
    String said = System.getProperty(PROPERTY);
    if (ownChoice(System.getenv()) || (said != null && !said.equals(PLAIN_VALUE))) {
      return;
    }
    try {
      Reexec process = Reexec.ofThisProcess();
      if (said != null) {
        plain = process;
      } else if (isProgram(main) && takesOptions(process.commandLine(), main.getName(), args)) {
        process.replace(0, seemsPlain(args) ? PLAIN : CIPHERS, 0);
      }
    } catch (IOException | RuntimeException | LinkageError e) {
      stays(e);
    }
  }

  /**
   * Whether nothing on the command line speaks of ciphers, or may stand for something that does, or
   * can be read only once and not again by a second JVM. An http URL that is redirected to https,
   * or an https one that is hidden, is met later.
   */
  static boolean seemsPlain(String[] args) {
    for (String arg : args) {
      String word = arg.toLowerCase(Locale.ROOT);
      if (word.startsWith("@")
          || SPEAK_OF_CIPHERS.stream().anyMatch(word::contains)
          || isStream(arg.substring(arg.lastIndexOf('=') + 1))) {
        return false;
      }
    }
    return true;
  }

  /** Whether a word is the path of a pipe or a terminal. */
  private static boolean isStream(String word) {
    try {
      int type = (int) Files.getAttribute(Path.of(word), "unix:mode") & S_IFMT;
      return type == S_IFIFO || type == S_IFCHR;
    } catch (IOException | RuntimeException e) {
      return false; // no path of anything
    }
  }

  /**
   * Starts the program anew with the options for ciphers, if it has those for plain data; returns
   * if not, or if it cannot be done. Nothing of it may be in use yet but the source.
   *
   * @param why for the log
   */
  static void needsCiphers(String why) {
    Reexec process = plain;
    if (process == null || Collections.indexOfSubList(process.commandLine(), PLAIN) != 1) {
      return;
    }
    log().log(Level.DEBUG, "{0}: the JVM is started anew, for ciphers", why);
    try {
      process.replace(PLAIN.size(), CIPHERS, SIGNAL_NANOS);
    } catch (IOException | RuntimeException | LinkageError e) {
      stays(e);
    }
  }

  private static void stays(Throwable why) {
    log().log(Level.DEBUG, "the JVM stays as it is", why);
  }

  /** Not a constant, as nothing is to be loaded or opened before the process is looked at. */
  private static System.Logger log() {
    return System.getLogger("io.uloop.examples");
  }

  /** Whether a class's {@code main} is what this thread began with, and nobody's part. */
  private static boolean isProgram(Class<?> main) {
    StackTraceElement[] frames = Thread.currentThread().getStackTrace();
    return frames[frames.length - 1].getClassName().equals(main.getName());
  }

  /** Whether the environment says how the JVM is to be. */
  static boolean ownChoice(Map<String, String> environment) {
    for (String variable : OWN_CHOICE_VARIABLES) {
      if (environment.containsKey(variable)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a command line is that of this program, and chooses no options of its own. */
  static boolean takesOptions(List<String> commandLine, String main, String[] args) {
    int end = commandLine.size() - args.length;
    if (end < 2 || !commandLine.subList(end, commandLine.size()).equals(List.of(args))) {
      return false;
    }
    boolean jar = end > 2 && commandLine.get(end - 2).equals("-jar");
    if (!jar && (!commandLine.get(end - 1).equals(main) || WARNS_OF_NATIVE_CODE)) {
      return false; // an argument file, or a program that this one is a part of
    }
    for (String option : commandLine.subList(1, end)) {
      for (String choice : OWN_CHOICE) {
        if (option.startsWith(choice)) {
          return false;
        }
      }
    }
    return true;
  }
}
