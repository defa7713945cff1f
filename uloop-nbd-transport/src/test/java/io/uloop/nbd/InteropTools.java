/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Programs of others, run by tests.
 *
 * <p>A test whose program is not installed is skipped; with {@code -Duloop.interop.required=true},
 * as test.sh has it, it fails instead.
 *
 * <p>{@code -Duloop.interop.chroot=FOLDER} runs the programs of another system that lies there, for
 * example a newer one with extended headers; the temporary folder must be visible in it under the
 * same name.
 */
final class InteropTools {

  static final String CHROOT = System.getProperty("uloop.interop.chroot", "");

  private static final String[] PATH = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

  private InteropTools() {}

  /** Skips the calling test, or fails it, unless all the programs are there. */
  static void need(String... programs) {
    for (String program : programs) {
      boolean there = false;
      for (String folder : PATH) {
        there |= new File(CHROOT + folder, program).canExecute();
      }
      if (Boolean.getBoolean("uloop.interop.required")) {
        assertThat(there).as("%s is installed", program).isTrue();
      }
      assumeTrue(there, program + " is not installed");
    }
  }

  /** Runs a program, which must end with 0, and gives what it said. */
  static String run(String... command) throws Exception {
    return runFor(0, command);
  }

  static String runFor(int expected, String... command) throws Exception {
    Path output = Files.createTempFile("interop", ".out");
    Process process = start(output, command);
    boolean ended = process.waitFor(60, TimeUnit.SECONDS);
    if (!ended) {
      process.destroyForcibly();
    }
    String said = Files.readString(output, StandardCharsets.ISO_8859_1);
    Files.delete(output);
    assertThat(ended).as("%s ended; it said %s", List.of(command), said).isTrue();
    assertThat(process.exitValue())
        .as("exit of %s: %s", List.of(command), said)
        .isEqualTo(expected);
    return said;
  }

  private static Process start(Path output, String... command) throws IOException {
    need(command[0]);
    List<String> line = new ArrayList<>();
    if (!CHROOT.isEmpty()) {
      line.addAll(List.of("chroot", CHROOT));
    }
    line.addAll(List.of(command));
    ProcessBuilder builder =
        new ProcessBuilder(line).redirectErrorStream(true).redirectOutput(output.toFile());
    // nbdsh wants the system's own Python.
    builder.environment().put("PATH", String.join(":", PATH));
    return builder.start();
  }

  /** Runs lines of Python in nbdsh; URI in them stands for the address. */
  static String nbdsh(String uri, String... lines) throws Exception {
    List<String> command = new ArrayList<>(List.of("nbdsh"));
    for (String line : lines) {
      command.addAll(List.of("-c", line.replace("URI", "'" + uri + "'")));
    }
    return run(command.toArray(new String[0]));
  }

  /** A program that runs until it is told to end. */
  static final class Running implements Closeable {
    private final Process process;
    private final Path output;
    private final String name;

    Running(String... command) throws IOException {
      name = command[0];
      output = Files.createTempFile("interop", ".out");
      process = start(output, command);
    }

    /** Waits for a file that the program makes when it is ready. */
    void untilThere(Path file) {
      ServerFixture.await(
          name + " makes " + file,
          () -> {
            assertThat(process.isAlive()).as("%s runs; it said %s", name, said()).isTrue();
            return Files.exists(file);
          });
    }

    private String said() {
      try {
        return Files.readString(output, StandardCharsets.ISO_8859_1);
      } catch (IOException e) {
        return e.toString();
      }
    }

    /** Asks it to end. */
    void terminate() {
      process.destroy();
    }

    /** Waits for its end, which must be a good one. */
    void ended() throws InterruptedException {
      assertThat(process.waitFor(20, TimeUnit.SECONDS)).as("%s ended", name).isTrue();
      assertThat(process.exitValue()).as("exit of %s; it said %s", name, said()).isZero();
    }

    @Override
    public void close() throws IOException {
      process.destroyForcibly();
      Files.deleteIfExists(output);
    }
  }
}
