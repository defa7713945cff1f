/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.jar.JarOutputStream;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What is said of plug-ins that cannot be used. */
@Timeout(30)
class PluginsTest {

  @TempDir Path directory;
  private final ByteArrayOutputStream said = new ByteArrayOutputStream();
  private final PrintStream before = System.err;

  @BeforeEach
  void listen() {
    System.setErr(new PrintStream(said, true, UTF_8));
  }

  @AfterEach
  void listenNoMore() {
    LaunchLog.release();
    LaunchLog.show(Level.ERROR);
    System.setErr(before);
  }

  private Path jar(String name) throws IOException {
    Path jar = directory.resolve(name);
    try (OutputStream file = Files.newOutputStream(jar);
        JarOutputStream out = new JarOutputStream(file)) {
      out.putNextEntry(new ZipEntry("text"));
      out.write(new byte[1000]);
    }
    return jar;
  }

  private List<String> start() {
    String[] args = {
      "--plugins", directory.toString(), "-c", directory + "/c", "unix:/x", "two:image"
    };
    PrintStream out = new PrintStream(OutputStream.nullOutputStream(), true, UTF_8);
    int code =
        new LaunchCommand("ulohttp", "[options] device URL", "Tests.").run(args, out, System.err);
    assertThat(code).isEqualTo(LaunchCommand.EXIT_USAGE);
    return said.toString(UTF_8).lines().toList();
  }

  @Test
  void jarsThatCannotBeOpened_areNamedWithTheReasonBeforeTheFailure() throws Exception {
    byte[] noise = new byte[5000];
    new Random(1).nextBytes(noise);
    Path whole = jar("whole.jar");
    byte[] bytes = Files.readAllBytes(whole);
    Files.write(directory.resolve("short.jar"), Arrays.copyOf(bytes, bytes.length / 2));
    Files.write(directory.resolve("noise.jar"), noise);
    Files.createFile(directory.resolve("empty.jar"));
    Files.createSymbolicLink(directory.resolve("gone.jar"), directory.resolve("nowhere"));
    Path pipe = directory.resolve("pipe.jar");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    Files.createDirectory(directory.resolve("classes.jar"));

    List<String> lines = start();

    assertThat(lines).hasSize(6).last().asString().contains("ulohttp: no source for scheme 'two'");
    for (String name : List.of("short.jar", "noise.jar", "empty.jar", "gone.jar", "pipe.jar")) {
      assertThat(lines)
          .as(name)
          .filteredOn(
              line ->
                  line.startsWith(
                      "warning: left out, as it cannot be opened: "
                          + directory.resolve(name)
                          + ": "))
          .hasSize(1);
    }
    assertThat(said.toString(UTF_8)).contains("ZipException", "not a regular file");
  }

  @Test
  void jarWithoutAPlugin_isNotWarnedOf() throws IOException {
    jar("whole.jar");

    assertThat(start()).hasSize(1);
  }
}
