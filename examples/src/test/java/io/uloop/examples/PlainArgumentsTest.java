/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.TestSeed;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** What the plain reader accepts, picocli reads the same way. */
@Timeout(60)
class PlainArgumentsTest {

  private static final List<List<String>> PIECES =
      List.of(
          List.of("-b", "/tmp/b"),
          List.of("-c", "relative/c d"),
          List.of("-t", "5"),
          List.of("-t", "x"),
          List.of("--mode", "cow"),
          List.of("--mode=ro"),
          List.of("--block-size", "64K"),
          List.of("--max-cache", "2G"),
          List.of("--export", "a name"),
          List.of("--plugins", "p"),
          List.of("--header", "Accept: */*"),
          List.of("--header", "X: a, b=c"),
          List.of("-o", "http.connections=4"),
          List.of("-o", "timeout=3=4"),
          List.of("-o", "novalue"),
          List.of("--stats", "1"),
          List.of("--offline"),
          List.of("--recreate"),
          List.of("--verbose"),
          List.of("-v"),
          List.of("--wrong"),
          List.of("-t"),
          List.of("unix:/tmp/s"),
          List.of("http://host/a?b=c"),
          List.of("/dev/nbd0"));

  private static final int PLAIN_LINES = 200;

  @Test
  void read_randomLines_areReadAsByPicocliOrLeftToIt() {
    Random random = TestSeed.random("PlainArgumentsTest");
    int plain = 0;
    // About one line of fifty is plain; a reader that takes none must not go on for ever.
    for (int lines = 0; plain < PLAIN_LINES; lines++) {
      assertThat(lines).as("lines, %d of them plain", plain).isLessThan(PLAIN_LINES * 1000);
      List<String> line = new ArrayList<>();
      for (int n = random.nextInt(6); n >= 0; n--) {
        line.addAll(PIECES.get(random.nextInt(PIECES.size())));
      }
      String[] args = line.toArray(String[]::new);
      LaunchOptions read = new LaunchOptions();
      if (PlainArguments.read(args, read)) {
        plain++;
        LaunchOptions expected = new LaunchOptions();
        new CommandLine(expected).parseArgs(args);
        assertThat(read).as("%s", line).usingRecursiveComparison().isEqualTo(expected);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"--help d s", "d", "d s more", "-b= d s", "@file s", "d @s", "-- d s"})
  void read_anythingElse_isLeftToPicocli(String line) {
    assertThat(PlainArguments.read(line.split(" "), new LaunchOptions())).isFalse();
  }
}
