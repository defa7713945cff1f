/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeTestExecutionCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Fails a test that leaves threads or descriptors behind, or that logs a warning it did not expect.
 *
 * <p>Registered as a field, so that a test can say which warnings it expects.
 */
final class Guard implements BeforeTestExecutionCallback, AfterTestExecutionCallback {

  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final Logger logger = Logger.getLogger("io.uloop");
  private final List<String> warnings = new CopyOnWriteArrayList<>();
  private final List<String> expected = new CopyOnWriteArrayList<>();
  private TreeSet<String> threadsBefore = new TreeSet<>();

  private final Handler collector =
      new Handler() {
        @Override
        public void publish(LogRecord entry) {
          if (entry.getLevel().intValue() >= Level.WARNING.intValue()) {
            Object[] values = entry.getParameters();
            warnings.add(
                values == null
                    ? entry.getMessage()
                    : java.text.MessageFormat.format(entry.getMessage(), values));
          }
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };

  /** Lets warnings pass that contain one of these. */
  void expectWarnings(String... parts) {
    expected.addAll(List.of(parts));
  }

  /** The warnings so far. */
  List<String> warnings() {
    return List.copyOf(warnings);
  }

  @Override
  public void beforeTestExecution(ExtensionContext context) {
    warnings.clear();
    expected.clear();
    threadsBefore = engineThreads();
    collector.setLevel(Level.ALL);
    logger.addHandler(collector);
    logger.setUseParentHandlers(false);
  }

  @Override
  public void afterTestExecution(ExtensionContext context) throws Exception {
    logger.removeHandler(collector);
    logger.setUseParentHandlers(true);
    if (context.getExecutionException().isPresent()) {
      warnings.forEach(System.out::println);
      return; // what it left behind is no news then
    }
    List<String> unexpected = new ArrayList<>(warnings);
    unexpected.removeIf(w -> expected.stream().anyMatch(w::contains));
    if (!unexpected.isEmpty()) {
      throw new AssertionError("warnings that were not expected: " + unexpected);
    }
    assertNothingLeft();
  }

  /** Also for use within a test, after a close. */
  void assertNothingLeft() throws Exception {
    long giveUp = System.nanoTime() + PATIENCE_NANOS;
    TreeSet<String> left;
    while (!(left = engineThreads()).isEmpty()) {
      left.removeAll(threadsBefore);
      if (left.isEmpty()) {
        break;
      }
      if (System.nanoTime() > giveUp) {
        throw new AssertionError("threads left: " + left);
      }
      joinOne(left);
    }
    List<String> open = openTestFiles();
    if (!open.isEmpty()) {
      throw new AssertionError("descriptors left: " + open);
    }
  }

  private static void joinOne(TreeSet<String> names) throws InterruptedException {
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (names.contains(name(thread))) {
        thread.join(1000);
        return;
      }
    }
  }

  private static String name(Thread thread) {
    return thread.getName() + " #" + System.identityHashCode(thread);
  }

  private static TreeSet<String> engineThreads() {
    TreeSet<String> names = new TreeSet<>();
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith("uloop-")) {
        names.add(name(thread));
      }
    }
    return names;
  }

  /** Descriptors of this process under a directory that JUnit made; none where there is no proc. */
  private static List<String> openTestFiles() throws IOException {
    List<String> open = new ArrayList<>();
    Path descriptors = Path.of("/proc/self/fd");
    String made = Path.of(System.getProperty("java.io.tmpdir")).toRealPath() + "/junit";
    if (Files.isDirectory(descriptors)) {
      try (DirectoryStream<Path> all = Files.newDirectoryStream(descriptors)) {
        for (Path one : all) {
          String target = target(one);
          if (target.startsWith(made)) {
            open.add(target);
          }
        }
      }
    }
    return open;
  }

  private static String target(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString();
    } catch (IOException e) {
      return ""; // closed since it was listed
    }
  }
}
