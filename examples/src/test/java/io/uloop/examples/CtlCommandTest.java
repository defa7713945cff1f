/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Commands of uloctl that need no kernel, over an image in a file. */
@Timeout(60)
class CtlCommandTest {

  private static final int SIZE = 3_000_777;

  @TempDir Path directory;
  private final byte[] content = new byte[SIZE];
  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private Path image;

  @BeforeEach
  void makeImage() throws IOException {
    new Random(7).nextBytes(content);
    Arrays.fill(content, 1 << 20, 2 << 20, (byte) 0);
    image = Files.write(directory.resolve("image"), content);
  }

  private int run(String... args) {
    out.reset();
    err.reset();
    return new CtlCommand(new PrintStream(out, true, UTF_8), new PrintStream(err, true, UTF_8))
        .run(args);
  }

  private int onPair(String command, String... more) {
    String pair = directory.resolve("cache").toString();
    return run(
        Stream.concat(Stream.of(command, "-c", pair), Arrays.stream(more)).toArray(String[]::new));
  }

  private void assertOneLine(String expected) {
    assertThat(err.toString(UTF_8)).startsWith("uloctl: ").contains(expected);
    assertThat(err.toString(UTF_8).lines()).hasSize(1);
  }

  private List<String> words() {
    return out.toString(UTF_8).lines().map(line -> line.strip().replaceAll(" +", " ")).toList();
  }

  @ParameterizedTest
  @ValueSource(strings = {"map", "fill", "export", "verify", "discard", "attach", "detach", "list"})
  void help_ofEachCommand_isThere(String command) {
    assertThat(run("--help")).isZero();
    assertThat(out.toString(UTF_8)).contains(command);
    assertThat(run(command, "--help")).isZero();
    assertThat(out.toString(UTF_8)).contains("uloctl " + command);
    assertThat(err.size()).isZero();
  }

  @Test
  void version_isOneLine() {
    assertThat(run("--version")).isZero();
    assertThat(words()).hasSize(1).first().asString().startsWith("uloctl ");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'' | no command",
        "juggle | Unmatched argument",
        "map | which pair?",
        "map --wrong x | Unknown option: '--wrong'",
        "fill -c /x | missing URL",
        "fill -c /x --rate 1Q /y | --rate is no number of bytes: 1Q",
        "fill -c /x --fetches 0 /y | --fetches must be 1 to 1024: 0",
        "fill -c /x --fetches 2000000000 /y | --fetches must be 1 to 1024: 2000000000",
        "fill -c /x -t 9223372037 /y | 1 to 86400 seconds: 9223372037",
        "map -c /x -t=-1 | 1 to 86400 seconds: -1",
        "verify -c /x -t 0 | 1 to 86400 seconds: 0",
        "discard -c /x -t 0 | 1 to 86400 seconds: 0",
        "export -c /x --to /y -t 0 | 1 to 86400 seconds: 0",
        "fill -c /x -o plain=1 /y | no property of a source: plain",
        "fill -c /x ftp://host/y | no source for scheme 'ftp'",
        "export -c /x | Missing required option: '--to=file'",
        "attach tcp:h:1 /dev/nbd0 | a unix socket, unix:/path, not tcp:h:1",
        "attach unix:/x y | no kernel device: y",
        "detach | Missing required parameter",
        "detach /dev/sda | not a kernel device: /dev/sda",
        "detach /dev/nbd | not a kernel device: /dev/nbd"
      })
  void run_wrongUsage_isTwoAndOneLine(String line, String expected) {
    String[] args = line.isEmpty() ? new String[0] : line.split(" ");
    assertThat(run(args)).isEqualTo(LaunchCommand.EXIT_USAGE);
    assertOneLine(expected);
    assertThat(out.size()).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"map", "verify", "discard"})
  void noPair_isSaidAndNothingIsMade(String command) throws IOException {
    assertThat(onPair(command)).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertOneLine("no pair");
    try (Stream<Path> files = Files.list(directory)) {
      assertThat(files).containsExactly(image);
    }
  }

  @Test
  void errorOfAPlugIn_isOneAndOneLine() {
    assertThat(run("fill", "-c", directory + "/cache", "overflowing:y"))
        .isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertOneLine("java.lang.StackOverflowError: within overflowing:y");
  }

  @Test
  void failure_whenVerbose_hasAStackTrace() {
    assertThat(onPair("map", "-v")).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertThat(err.toString(UTF_8)).contains("no pair", "\tat io.uloop");
  }

  @Test
  void fillThenMapExportVerifyDiscard() throws IOException {
    assertThat(onPair("fill", image.toString())).as(err.toString(UTF_8)).isZero();
    assertThat(words()).containsExactly("present " + SIZE + " of " + SIZE + " bytes");

    assertThat(onPair("map")).isZero();
    assertThat(words()).containsExactly("0 " + SIZE + " present");
    assertThat(onPair("map", "--totals")).isZero();
    assertThat(words()).containsExactly(SIZE + " 100.0% present", "0 0.0% absent");

    Path copy = directory.resolve("copy");
    assertThat(onPair("export", "--to", copy.toString())).isZero();
    assertThat(copy).hasBinaryContent(content);
    assertThat(onPair("export", "--to", copy.toString())).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertOneLine("is there already");

    assertThat(onPair("verify")).isZero();
    assertThat(words()).containsExactly("verified 733 blocks, 0 wrong");

    assertThat(onPair("discard")).isZero();
    assertThat(directory.resolve("cache")).doesNotExist();
  }

  @Test
  void export_whatStandsAtTheNamePart_stays() throws Exception {
    onPair("fill", image.toString());
    Path copy = directory.resolve("copy");
    Path part = directory.resolve("copy.part");
    Path precious = Files.writeString(directory.resolve("precious"), "precious");

    Files.createSymbolicLink(part, precious);
    assertThat(onPair("export", "--to", copy.toString())).as(err.toString(UTF_8)).isZero();
    assertThat(copy).isRegularFile().hasBinaryContent(content);
    assertThat(Files.isSymbolicLink(copy)).isFalse();
    assertThat(precious).hasContent("precious");
    assertThat(Files.isSymbolicLink(part)).isTrue();
    Files.delete(part);

    Files.createDirectory(part);
    assertThat(onPair("export", "--to", copy.toString(), "--overwrite")).isZero();
    assertThat(part).isEmptyDirectory();
    Files.delete(part);

    assertThat(new ProcessBuilder("mkfifo", part.toString()).start().waitFor()).isZero();
    assertThat(onPair("export", "--to", copy.toString(), "--overwrite")).isZero();
    assertThat(copy).hasBinaryContent(content);
    assertThat(part).exists();
  }

  @Test
  void export_nameOfTheGreatestLength_isWrittenAndNothingElseIsLeft() throws IOException {
    onPair("fill", image.toString());
    Path folder = Files.createDirectory(directory.resolve("folder"));
    Path copy = folder.resolve("n".repeat(255));
    assertThat(onPair("export", "--to", copy.toString())).as(err.toString(UTF_8)).isZero();
    assertThat(copy).hasBinaryContent(content);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).containsExactly(copy);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"cache", "cache.bitmap", "cache.bitmap.meta", "cache.bitmap.crc"})
  void export_ontoAFileOfThePair_isRefusedAlsoThroughALink(String own) throws IOException {
    onPair("fill", image.toString());
    Path link = Files.createSymbolicLink(directory.resolve("link"), directory.resolve(own));
    for (Path target : List.of(directory.resolve(own), link)) {
      assertThat(onPair("export", "--to", target.toString(), "--overwrite"))
          .isEqualTo(LaunchCommand.EXIT_USAGE);
      assertOneLine(target + " is " + directory.resolve(own) + ", a file of the pair");
    }
    assertThat(onPair("verify")).as(err.toString(UTF_8)).isZero();
    assertThat(words()).containsExactly("verified 733 blocks, 0 wrong");
  }

  @Test
  void export_pipeAndDevice_areWrittenWithoutBeingForced() throws Exception {
    onPair("fill", image.toString());
    assertThat(onPair("export", "--to", "/dev/null")).as(err.toString(UTF_8)).isZero();
    Path pipe = directory.resolve("pipe");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();
    Process reader =
        new ProcessBuilder("cmp", image.toString(), pipe.toString())
            .redirectErrorStream(true)
            .start();
    assertThat(onPair("export", "--to", pipe.toString())).as(err.toString(UTF_8)).isZero();
    assertThat(reader.waitFor()).isZero();
  }

  @Test
  void export_deviceThatIsFull_isNamed() {
    onPair("fill", image.toString());
    assertThat(onPair("export", "--to", "/dev/full")).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertOneLine("cannot write /dev/full: No space left on device");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "map -c CACHE",
        "map --totals -c CACHE",
        "verify -c CACHE",
        "fill -c CACHE IMAGE",
        "discard -c CACHE",
        "--version",
        "map --help"
      })
  void outputThatCannotBeWritten_isOneAndSaysWhy(String line) throws IOException {
    onPair("fill", image.toString());
    err.reset();
    String[] args =
        line.replace("CACHE", directory + "/cache").replace("IMAGE", image + "").split(" ");
    try (OutputStream full = new FileOutputStream("/dev/full")) {
      int code = new CtlCommand(full, new PrintStream(err, true, UTF_8)).run(args);
      assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    }
    assertOneLine("cannot write standard output: No space left on device");
  }

  /** One line, the one that says more. */
  @Test
  void outputOfAFailureThatCannotBeWritten_isTheFailure() throws IOException {
    onPair("fill", image.toString());
    byte[] cache = Files.readAllBytes(directory.resolve("cache"));
    cache[0] ^= 1;
    try (var file = Files.newOutputStream(directory.resolve("cache"))) {
      file.write(cache);
    }
    err.reset();
    try (OutputStream full = new FileOutputStream("/dev/full")) {
      int code =
          new CtlCommand(full, new PrintStream(err, true, UTF_8))
              .run(new String[] {"verify", "-c", directory + "/cache"});
      assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    }
    assertThat(err.toString(UTF_8)).contains("uloctl: 1 of 733 blocks").doesNotContain("output");
  }

  @Test
  void verify_damagedBlock_isOneAndTheBlockIsAbsentThen() throws IOException {
    onPair("fill", image.toString());
    byte[] cache = Files.readAllBytes(directory.resolve("cache"));
    cache[100 * 4096] ^= 1;
    try (var file = Files.newOutputStream(directory.resolve("cache"))) {
      file.write(cache);
    }

    assertThat(onPair("verify")).isEqualTo(LaunchCommand.EXIT_FAILURE);

    assertThat(words()).containsExactly("verified 733 blocks, 1 wrong");
    assertThat(err.toString(UTF_8)).contains("uloctl: 1 of 733 blocks were wrong");
    onPair("map");
    assertThat(words())
        .containsExactly(
            "0 409600 present", "409600 4096 absent", "413696 " + (SIZE - 413696) + " present");
    assertThat(onPair("export", "--to", directory + "/copy")).isEqualTo(1);
    assertOneLine("4096 bytes are absent; name the URL");
  }
}
