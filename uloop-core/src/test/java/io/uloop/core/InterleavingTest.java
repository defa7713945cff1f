/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Runs the tests of jcstress: threads that meet millions of times at the bits and at the table of
 * fetches, in code of each of the JVM's compilers.
 *
 * <p>The short way takes half a minute; {@code -Duloop.jcstress=quick} (or {@code default}, or
 * {@code tough}) looks longer.
 */
@Timeout(7200)
class InterleavingTest {

  @TempDir Path dir;

  @Test
  void everyInterleaving_thatThreadsCameUpWith_isOneThatMayBe() throws Exception {
    String mode = System.getProperty("uloop.jcstress", "short");
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.addAll(List.of("org.openjdk.jcstress.Main", "-r", dir.resolve("report").toString()));
    if (mode.equals("short")) {
      // One setting of the JVM, in place of ten.
      command.addAll(List.of("-m", "quick", "-f", "1", "-iters", "1", "-time", "300"));
      command.addAll(List.of("-sc", "false", "-jvmArgs", "-XX:+UseSerialGC"));
    } else {
      command.addAll(List.of("-m", mode));
    }
    Process process =
        new ProcessBuilder(command).directory(dir.toFile()).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

    assertThat(process.waitFor()).as(output).isZero();
    System.out.println(output);
  }
}
