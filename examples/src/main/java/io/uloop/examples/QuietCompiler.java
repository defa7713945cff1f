/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Keeps the JVM's optimising compiler from taking the processor away from the data.
 *
 * <p>A cold copy lasts seconds, and in them the second compiler (C2) takes a fifth of the processor
 * time, on machines where the data need all of it. What it compiles is worth having, but not then.
 * So its threads are made nice (setpriority(2), per thread on Linux), which needs no privilege. A
 * jar's manifest cannot set options of the JVM, and starting a second JVM that has them costs a
 * launcher more than half its start-up; docs/performance.md has the figures.
 */
final class QuietCompiler {

  private static final System.Logger LOG = System.getLogger("io.uloop.examples");

  private QuietCompiler() {}

  /** Does it on a thread of its own; if it cannot be done, nothing is lost but speed. */
  static void begin() {
    Thread thread = new Thread(QuietCompiler::lower, "uloop-nice-1");
    thread.setDaemon(true);
    thread.start();
  }

  private static void lower() {
    try {
      List<String> command = new ArrayList<>(List.of("chrt", "--idle", "--pid", "0"));
      int options = command.size();
      try (DirectoryStream<Path> tasks = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
        for (Path task : tasks) {
          if (Files.readString(task.resolve("comm")).startsWith("C2 ")) {
            command.add(String.valueOf(task.getFileName()));
          }
        }
      }
      if (command.size() > options) {
        Process renice =
            new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD)
                .start();
        LOG.log(Level.DEBUG, "compiler threads made nice: status {0}", renice.waitFor());
      }
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "compiler threads stay as they are", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
