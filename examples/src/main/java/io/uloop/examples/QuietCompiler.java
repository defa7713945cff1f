/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * Keeps the JVM's optimising compiler out of the way of the first reads.
 *
 * <p>A cold copy lasts seconds, and in them the second compiler (C2) takes up to a third of the
 * processor time, on machines where the data need all of it. What it compiles is worth having, but
 * not then. So its threads become idle ones (sched(7), SCHED_IDLE: they run when nothing else wants
 * to), for {@link #QUIET} after the device begins to serve. Not longer: on a busy machine they
 * would never run, and the code would stay slow. Lowering the policy and going back needs no
 * privilege (Linux 2.6.39). Niceness is not enough, as a nice thread that runs is not interrupted
 * for one that wakes. Not for data that are enciphered, see {@link Launch}.
 */
final class QuietCompiler {

  private static final System.Logger LOG = System.getLogger("io.uloop.examples");
  private static final Duration QUIET = Duration.ofSeconds(8);

  private QuietCompiler() {}

  /** Does it on a thread of its own; if it cannot be done, nothing is lost but speed. */
  static void begin() {
    Thread thread = new Thread(QuietCompiler::lowerForAWhile, "uloop-quiet-1");
    thread.setDaemon(true);
    thread.start();
  }

  private static void lowerForAWhile() {
    try {
      schedule("--idle");
      long until = System.nanoTime() + QUIET.toNanos();
      for (long left; (left = until - System.nanoTime()) > 0; ) {
        LockSupport.parkNanos(left);
      }
      schedule("--other");
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "compiler threads stay as they are", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static String nameOf(Path task) {
    try {
      return Files.readString(task.resolve("comm"));
    } catch (IOException e) {
      return ""; // it has ended
    }
  }

  /** Sets the policy of all threads of the compiler, with chrt(1). */
  private static void schedule(String policy) throws IOException, InterruptedException {
    List<String> threads = new ArrayList<>();
    try (DirectoryStream<Path> tasks = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
      for (Path task : tasks) {
        if (nameOf(task).startsWith("C2 ")) {
          threads.add(String.valueOf(task.getFileName()));
        }
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    for (String thread : threads) {
      Process chrt =
          new ProcessBuilder("chrt", policy, "--pid", "0", thread)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      LOG.log(Level.DEBUG, "compiler thread {0}: {1}: {2}", thread, policy, chrt.waitFor());
    }
  }
}
