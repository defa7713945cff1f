/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.PatternSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Programs that tests run in a JVM of their own. */
final class OtherProcess {

  private OtherProcess() {}

  /** Starts a program with this JVM's class path. */
  static Process start(Class<?> program, String... arguments) throws IOException {
    return start(List.of(), program, arguments);
  }

  private static Process start(List<String> options, Class<?> program, String... arguments)
      throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-Xmx128m", "-XX:TieredStopAtLevel=1"));
    command.addAll(options);
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(program.getName());
    command.addAll(List.of(arguments));
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  /** Runs a program to its end and gives its output. */
  static String run(Class<?> program, String... arguments) throws Exception {
    return run(List.of(), program, arguments);
  }

  /** As {@link #run(Class, String...)}, with options for the JVM. */
  static String run(List<String> options, Class<?> program, String... arguments) throws Exception {
    Process process = start(options, program, arguments);
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    process.waitFor();
    return output;
  }

  /**
   * Opens the pair {@code c}, {@code b} (or those named) of a directory for a pattern of some size;
   * says how.
   */
  static final class Open {
    private Open() {}

    public static void main(String[] arguments) {
      Path dir = Path.of(arguments[0]);
      try (CachedDevice device =
          CachedDevice.builder(new PatternSource(Long.parseLong(arguments[1])))
              .pair(
                  new CachePair(
                      dir.resolve(arguments.length > 2 ? arguments[2] : "c"),
                      dir.resolve(arguments.length > 3 ? arguments[3] : "b")))
              .open()) {
        System.out.println("opened " + device);
      } catch (IOException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  /** Tries to lock a file; says whether it could. */
  static final class Lock {
    private Lock() {}

    public static void main(String[] arguments) throws IOException {
      LocalFile file = new LocalFile(Path.of(arguments[0]));
      System.out.println(file.tryLock());
      file.close();
    }
  }

  /** Reads at random through a device until it is killed, or its standard input ends. */
  static final class ReadUntilKilled {
    private ReadUntilKilled() {}

    public static void main(String[] arguments) throws Exception {
      Path dir = Path.of(arguments[0]);
      long size = Long.parseLong(arguments[1]);
      boolean checksums = Boolean.parseBoolean(arguments[2]);
      Random random = new Random(Long.parseLong(arguments[3]));
      CachedDevice.Builder builder =
          CachedDevice.builder(new PatternSource(size))
              .pair(new CachePair(dir.resolve("c"), dir.resolve("b")))
              .checksums(checksums)
              .commitInterval(java.time.Duration.ofMillis(1 + random.nextInt(20)));
      if (arguments.length > 4) {
        builder.maxCacheBytes(Long.parseLong(arguments[4]));
      }
      CachedDevice device = builder.open();
      System.out.println("ready");
      Thread flusher =
          new Thread(
              () -> {
                try {
                  while (true) {
                    device.flush();
                  }
                } catch (IOException e) {
                  throw new java.io.UncheckedIOException(e);
                }
              });
      flusher.setDaemon(true);
      flusher.start();
      while (System.in.available() == 0) {
        int length = 1 + random.nextInt(100_000);
        device.read((long) (random.nextDouble() * (size - length)), ByteBuffer.allocate(length));
      }
      device.close();
    }
  }
}
