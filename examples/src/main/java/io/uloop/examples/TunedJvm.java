/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Has a launcher run in a JVM with the options that suit it, which a jar's manifest cannot name.
 *
 * <p>The process replaces its program by the same one: {@code execve(2)} of the same command line
 * with {@link #OPTIONS} in front of the JVM's other options. It stays the process it was, with its
 * number, parent, working directory, environment, standard streams, limits, and whatever else it
 * was started with (descriptors of socket activation, a lock that a shell holds for it). This takes
 * some 60 ms, once; docs/performance.md has what it brings.
 *
 * <p>What the options do: the first compiler's code counts only calls and loops, not what types and
 * branches it sees, which makes it a third faster; and the second compiler comes in later. A
 * launcher's first seconds are those that matter, and all in all it waits for system calls. But not
 * for ciphers, for which the second compiler has the processor's instructions. New objects get 32
 * MiB, as a launcher that holds a quarter of a gigabyte for want of a collection is a bad
 * neighbour.
 *
 * <p>Nothing is replaced where somebody has chosen for himself: a command line with {@code -XX}
 * options, agents or a debugger, or options in the environment; nor with {@code
 * -Duloop.tuned-jvm=false}. Where it cannot be done (no {@code /proc}, JNA cannot be loaded), the
 * launcher runs in the JVM that it has.
 *
 * <p><b>Source:</b> execve(2), proc_pid_cmdline(5); the java command's manual for the options.
 */
final class TunedJvm {

  /** Says that it is done, or is not to be done. */
  private static final String PROPERTY = "uloop.tuned-jvm";

  private static final List<String> OPTIONS =
      List.of(
          "-D" + PROPERTY + "=true",
          "-XX:+IgnoreUnrecognizedVMOptions", // another JVM may not have them
          "-XX:-C1ProfileCalls",
          "-XX:-C1ProfileVirtualCalls",
          "-XX:-C1ProfileInlinedCalls",
          "-XX:-C1ProfileBranches",
          "-XX:-C1ProfileCheckcasts",
          // The collector would let it grow as long as that is quickest, to a quarter of a
          // gigabyte.
          "-XX:MaxNewSize=32m",
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

  // <fcntl.h>
  private static final int F_SETFD = 2;
  private static final int FD_CLOEXEC = 1;

  /** JDK 24 and later warn of native code that a jar's manifest has not enabled (JEP 472). */
  private static final boolean WARNS_OF_NATIVE_CODE = Runtime.version().feature() >= 24;

  private static final String JNA_PATH = "jna.platform.library.path";

  private static final Path PROC = Path.of("/proc/self");

  private TunedJvm() {}

  /**
   * Starts the program anew with the options, or returns, if it has them or is not to have them.
   * First thing in {@code main}: no other thread of the program may be there.
   *
   * @param main the class that was started
   * @param args what it was given
   */
  static void enter(Class<?> main, String[] args) {
    if (System.getProperty(PROPERTY) != null || ownChoice(System.getenv())) {
      return;
    }
    try {
      // Not an emulator or a loader, whose command line would be another.
      Path program = PROC.resolve("exe").toRealPath();
      Path java = Path.of(System.getProperty("java.home"), "bin", "java").toRealPath();
      if (!program.equals(java) || !isProgram(main)) {
        return;
      }
      List<byte[]> commandLine = split(Files.readAllBytes(PROC.resolve("cmdline")));
      if (takesOptions(texts(commandLine), main.getName(), args)) {
        List<byte[]> tuned = new ArrayList<>(commandLine.subList(0, 1));
        for (String option : OPTIONS) {
          tuned.add(option.getBytes(StandardCharsets.US_ASCII));
        }
        tuned.addAll(commandLine.subList(1, commandLine.size()));
        exec(program, tuned);
      }
    } catch (IOException | RuntimeException | LinkageError e) {
      System.getLogger("io.uloop.examples").log(Level.DEBUG, "the JVM stays as it is", e);
    }
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

  private static List<byte[]> split(byte[] commandLine) {
    List<byte[]> words = new ArrayList<>();
    ByteArrayOutputStream word = new ByteArrayOutputStream();
    for (byte b : commandLine) {
      if (b != 0) {
        word.write(b);
      } else {
        words.add(word.toByteArray());
        word.reset();
      }
    }
    return words;
  }

  /** As the JVM made strings of them for {@code main}. */
  private static List<String> texts(List<byte[]> words) {
    Charset encoding = Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8"));
    List<String> texts = new ArrayList<>();
    for (byte[] word : words) {
      texts.add(new String(word, encoding));
    }
    return texts;
  }

  /** Returns only if it failed. */
  private static void exec(Path program, List<byte[]> words) throws IOException {
    // JNA would run ldconfig(8) to learn where libraries are; this one is in the process.
    boolean unset = System.getProperty(JNA_PATH) == null;
    if (unset) {
      System.setProperty(JNA_PATH, "");
    }
    NativeLibrary c;
    try {
      c = NativeLibrary.getProcess();
    } finally {
      if (unset) {
        System.clearProperty(JNA_PATH);
      }
    }
    closeAtExec(c);
    long bytes = 0;
    for (byte[] word : words) {
      bytes += word.length + 1;
    }
    long pointers = (words.size() + 1L) * Native.POINTER_SIZE;
    try (Memory memory = new Memory(pointers + bytes)) {
      memory.clear();
      long text = pointers;
      for (int i = 0; i < words.size(); i++) {
        byte[] word = words.get(i);
        memory.write(text, word, 0, word.length);
        memory.setPointer((long) i * Native.POINTER_SIZE, memory.share(text));
        text += word.length + 1;
      }
      c.getFunction("execv").invokeInt(new Object[] {program.toString(), (Pointer) memory});
      throw new IOException(program + ": execve failed: errno " + Native.getLastError());
    }
  }

  /**
   * Has the descriptors that this JVM opened closed when its program is replaced: it does not say
   * so itself for the jar, its modules and its random numbers. Others that it was given stay.
   */
  private static void closeAtExec(NativeLibrary c) throws IOException {
    Set<String> ours = new HashSet<>(List.of("/dev/random", "/dev/urandom"));
    ours.add(Path.of(System.getProperty("java.home"), "lib", "modules").toRealPath().toString());
    for (String entry :
        List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1))) {
      if (Files.isRegularFile(Path.of(entry))) {
        ours.add(Path.of(entry).toRealPath().toString());
      }
    }
    try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(PROC.resolve("fd"))) {
      for (Path descriptor : descriptors) {
        int fd = Integer.parseInt(String.valueOf(descriptor.getFileName()));
        if (fd > 2 && ours.contains(target(descriptor))) {
          c.getFunction("fcntl").invokeInt(new Object[] {fd, F_SETFD, FD_CLOEXEC});
        }
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
  }

  private static String target(Path link) {
    try {
      return Files.readSymbolicLink(link).toString();
    } catch (IOException e) {
      return ""; // the directory that is being listed, among others
    }
  }
}
