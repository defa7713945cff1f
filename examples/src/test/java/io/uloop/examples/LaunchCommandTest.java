/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Command lines that end by themselves. */
@Timeout(30)
class LaunchCommandTest {

  @TempDir Path directory;
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private int run(String... args) {
    return new LaunchCommand("ulohttp", "[options] device URL", "Tests.")
        .run(args, new PrintStream(out, true, UTF_8), new PrintStream(err, true, UTF_8));
  }

  private void assertOneLine(String expected) {
    assertThat(out.toString(UTF_8)).isEmpty();
    assertThat(err.toString(UTF_8)).startsWith("ulohttp: ").contains(expected);
    assertThat(err.toString(UTF_8).lines()).hasSize(1);
  }

  @Test
  void run_help_showsTheSeedsSyntax() {
    assertThat(run("--help")).isZero();

    assertThat(out.toString(UTF_8))
        .contains("ulohttp [options] device URL", "-b=bitmap", "-c=cache", "ready <device> <size>");
    assertThat(err.size()).isZero();
  }

  @Test
  void run_version_isOneLine() {
    assertThat(run("--version")).isZero();

    assertThat(out.toString(UTF_8).lines()).hasSize(1);
    assertThat(out.toString(UTF_8)).startsWith("ulohttp ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"--version", "--help"})
  void run_outputCannotBeWritten_isOneAndOneLine(String option) throws IOException {
    try (PrintStream full = new PrintStream(new FileOutputStream("/dev/full"), false, UTF_8)) {
      int code =
          new LaunchCommand("ulohttp", "[options] device URL", "Tests.")
              .run(new String[] {option}, full, new PrintStream(err, true, UTF_8));
      assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    }
    assertOneLine("cannot write standard output");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "device | Missing required parameter: 'source'",
        "--wrong d s | Unknown option: '--wrong'",
        "-t soon unix:/x /y | 'soon' is not a long",
        "--mode cow unix:/x /y | --mode cow is not in this version yet",
        "--mode sideways unix:/x /y | --mode is ro, cow, writethrough or writeback",
        "--block-size 4Q unix:/x /y | --block-size is no number of bytes: 4Q",
        "-t 0 unix:/x /y | timeout must be positive",
        "-t=-1 unix:/x /y | -t: timeout must be positive, 1 to 86400 seconds: -1",
        "-t 86401 unix:/x /y | 1 to 86400 seconds: 86401",
        "-t 9223372037 unix:/x /y | 1 to 86400 seconds: 9223372037",
        "-t 9223372036854775808 unix:/x /y | is not a long",
        "--stats -1 unix:/x /y | --stats must be 0 (never) to 86400 seconds: -1",
        "--stats 86401 unix:/x /y | --stats must be 0 (never) to 86400 seconds: 86401",
        "--stats 9223372036854775807 unix:/x /y | --stats must be 0",
        "--block-size 2G unix:/x /y | --block-size must be at most 1048576 bytes: 2G",
        "--max-cache -5 unix:/x /y | --max-cache is no number of bytes: -5",
        "--plugins /no/such unix:/x /y | no directory of plug-ins: /no/such",
        "unix:/x ftp://host/y | no source for scheme 'ftp'",
        "unix:/x http:// | http://"
      })
  void run_wrongUsage_isTwoAndOneLine(String line, String expected) {
    assertThat(run(line.split(" "))).isEqualTo(LaunchCommand.EXIT_USAGE);

    assertOneLine(expected);
  }

  @ParameterizedTest
  @ValueSource(strings = {"-t 9223372037", "--stats -1", "--block-size 2G", "--max-cache 1Q"})
  void run_numberOutOfBounds_isWrongUsageAndMakesNothing(String option) throws IOException {
    Path image = Files.write(directory.resolve("image"), new byte[10]);
    String line = option + " -c " + directory + "/cache unix:" + directory + "/s " + image;

    assertThat(run(line.split(" "))).isEqualTo(LaunchCommand.EXIT_USAGE);

    try (Stream<Path> files = Files.list(directory)) {
      assertThat(files).containsExactly(image);
    }
  }

  @Test
  void run_deviceThatNobodyKnows_isWrongUsage() throws IOException {
    Path image = Files.write(directory.resolve("image"), new byte[10]);
    Path cache = directory.resolve("cache");

    int code = run("-c", cache.toString(), "pigeon:1", image.toString());

    assertThat(code).isEqualTo(LaunchCommand.EXIT_USAGE);
    assertOneLine("no transport for 'pigeon:1'");
  }

  @Test
  void run_noSuchImage_isOneAndOneLine() {
    int code = run("-c", directory.resolve("cache").toString(), "unix:/x", "/no/such/image");

    assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertOneLine("cannot open file:/no/such/image: no such file");
  }

  @Test
  void run_errorOfAPlugIn_isOneAndOneLine() {
    int code = run("-c", directory.resolve("cache").toString(), "unix:/x", "overflowing:y");

    assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertOneLine("java.lang.StackOverflowError: within overflowing:y");
  }

  @Test
  void run_failureWhenVerbose_hasAStackTrace() {
    int code = run("--verbose", "-c", directory + "/cache", "unix:/x", "/no/such/image");

    assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertThat(err.toString(UTF_8)).contains("no such file", "\tat io.uloop");
  }

  @ParameterizedTest
  @CsvSource({
    "0,0",
    "512,512",
    "4k,4096",
    "4KiB,4096",
    "500M,524288000",
    "2G,2147483648",
    "1T,1099511627776"
  })
  void bytes_numberAndUnit_areMultiplied(String text, long value) {
    assertThat(LaunchOptions.bytes("--x", text)).isEqualTo(value);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-1", "K", "1.5G", "9999999T", "1Q"})
  void bytes_anythingElse_isAnError(String text) {
    assertThatThrownBy(() -> LaunchOptions.bytes("--x", text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("--x");
  }
}
