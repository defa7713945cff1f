/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Replaces the process's program by the same one with another command line.
 *
 * <p>It stays the process it was, with its number, parent, working directory, environment, standard
 * streams, limits, and whatever else it was started with (descriptors of socket activation, a lock
 * that a shell holds for it). What the JVM and the program have opened themselves is closed; what
 * is open of the jar or the JVM's own files counts as that, whoever opened it. A parent death
 * signal (PR_SET_PDEATHSIG(2const)) is lost, as it belongs to the process's first thread, which is
 * none of the JVM's.
 *
 * <p><b>Signals:</b> a JVM takes one at once and acts on it later, in another thread, which ends
 * with all others when the program is replaced. So those that stop it are left to the kernel first,
 * which ends the process, and those that were taken before are given time.
 *
 * <p><b>Source:</b> execve(2), proc_pid_cmdline(5), fcntl(2), sigaction(2), signal(7).
 */
final class Reexec {

  // <fcntl.h>
  private static final int F_SETFD = 2;
  private static final int FD_CLOEXEC = 1;

  // <signal.h>: SIGHUP, SIGINT, SIGTERM
  private static final int[] STOPS = {1, 2, 15};
  private static final long SIG_IGN = 1;
  // More than struct sigaction has anywhere; its first field is the handler, SIG_DFL is 0.
  private static final int SIGACTION_BYTES = 256;

  private static final int LAST_STANDARD_STREAM = 2;

  private static final String JNA_PATH = "jna.platform.library.path";

  private static final Path PROC = Path.of("/proc/self");

  private final Path program;
  private final List<byte[]> commandLine;
  private final Set<Integer> inherited;

  private Reexec(Path program, List<byte[]> commandLine, Set<Integer> inherited) {
    this.program = program;
    this.commandLine = commandLine;
    this.inherited = inherited;
  }

  /**
   * Looks at the process as it was started; to be called before the program opens anything.
   *
   * @return what can replace it, now or later
   * @throws IOException if that cannot be known, or the program is not this JVM's {@code java}
   */
  static Reexec ofThisProcess() throws IOException {
    Path program = PROC.resolve("exe").toRealPath();
    Path java = Path.of(System.getProperty("java.home"), "bin", "java").toRealPath();
    if (!program.equals(java)) {
      // An emulator or a loader, whose command line would be another; or a JVM inside a program.
      throw new IOException(program + " runs, not " + java);
    }
    // First, as the JDK opens a pair of sockets before it reads its first file.
    Set<Integer> inherited = inheritedDescriptors();
    return new Reexec(program, split(Files.readAllBytes(PROC.resolve("cmdline"))), inherited);
  }

  /** Gives the words of the command line, as the JVM made strings of them for {@code main}. */
  List<String> commandLine() {
    Charset encoding = Charset.forName(System.getProperty("sun.jnu.encoding", "UTF-8"));
    List<String> texts = new ArrayList<>();
    for (byte[] word : commandLine) {
      texts.add(new String(word, encoding));
    }
    return texts;
  }

  /**
   * Replaces the program; other threads end where they are. Returns only by throwing.
   *
   * @param left how many words after the first are left out
   * @param put what is put in their place
   * @param signalNanos how long signals are given that the JVM has taken already
   * @throws IOException if it cannot be done; the program can go on
   */
  void replace(int left, List<String> put, long signalNanos) throws IOException {
    List<byte[]> words = new ArrayList<>(commandLine.subList(0, 1));
    for (String word : put) {
      words.add(word.getBytes(StandardCharsets.US_ASCII));
    }
    words.addAll(commandLine.subList(1 + left, commandLine.size()));
    NativeLibrary c = libc();
    Memory[] handlers = leaveStopsToKernel(c);
    try {
      for (long until = System.nanoTime() + signalNanos, wait;
          (wait = until - System.nanoTime()) > 0; ) {
        LockSupport.parkNanos(wait);
      }
      execute(c, words);
    } finally {
      for (int i = 0; i < STOPS.length; i++) {
        sigaction(c, STOPS[i], handlers[i], null);
      }
    }
  }

  /** Gives what the JVM did with the signals. */
  private static Memory[] leaveStopsToKernel(NativeLibrary c) {
    Memory[] before = new Memory[STOPS.length];
    Memory byDefault = cleared(SIGACTION_BYTES);
    for (int i = 0; i < STOPS.length; i++) {
      before[i] = cleared(SIGACTION_BYTES);
      sigaction(c, STOPS[i], null, before[i]);
      if (before[i].getLong(0) != SIG_IGN) {
        sigaction(c, STOPS[i], byDefault, null);
      }
    }
    return before;
  }

  private static void sigaction(
      NativeLibrary c, int signal, @Nullable Memory set, @Nullable Memory was) {
    c.getFunction("sigaction").invokeInt(new Object[] {signal, set, was});
  }

  private static Memory cleared(long bytes) {
    Memory memory = new Memory(bytes);
    memory.clear();
    return memory;
  }

  private void execute(NativeLibrary c, List<byte[]> words) throws IOException {
    for (int descriptor : descriptors()) {
      if (descriptor > LAST_STANDARD_STREAM && !inherited.contains(descriptor)) {
        c.getFunction("fcntl").invokeInt(new Object[] {descriptor, F_SETFD, FD_CLOEXEC});
      }
    }
    long bytes = 0;
    for (byte[] word : words) {
      bytes += word.length + 1;
    }
    long pointers = (words.size() + 1L) * Native.POINTER_SIZE;
    try (Memory memory = cleared(pointers + bytes)) {
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

  private static NativeLibrary libc() {
    // JNA would run ldconfig(8) to learn where libraries are; this one is in the process.
    boolean unset = System.getProperty(JNA_PATH) == null;
    if (unset) {
      System.setProperty(JNA_PATH, "");
    }
    try {
      return NativeLibrary.getProcess();
    } finally {
      if (unset) {
        System.clearProperty(JNA_PATH);
      }
    }
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

  /**
   * Those that are open but were not opened by the JVM at its start: for the jar, its modules and
   * its random numbers. It does not have these closed itself when the program is replaced.
   */
  private static Set<Integer> inheritedDescriptors() throws IOException {
    Set<String> ours = new HashSet<>(List.of("/dev/random", "/dev/urandom"));
    ours.add(Path.of(System.getProperty("java.home"), "lib", "modules").toRealPath().toString());
    for (String entry :
        List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1))) {
      if (Files.isRegularFile(Path.of(entry))) {
        ours.add(Path.of(entry).toRealPath().toString());
      }
    }
    Set<Integer> inherited = descriptors();
    inherited.removeIf(
        descriptor -> {
          String target = target(PROC.resolve("fd").resolve(Integer.toString(descriptor)));
          return target.isEmpty() || ours.contains(target);
        });
    return inherited;
  }

  private static Set<Integer> descriptors() throws IOException {
    Set<Integer> open = new HashSet<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(PROC.resolve("fd"))) {
      for (Path entry : entries) {
        open.add(Integer.valueOf(String.valueOf(entry.getFileName())));
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    return open;
  }

  private static String target(Path link) {
    try {
      return Files.readSymbolicLink(link).toString();
    } catch (IOException e) {
      return ""; // it is closed: the listing itself had it open
    }
  }
}
