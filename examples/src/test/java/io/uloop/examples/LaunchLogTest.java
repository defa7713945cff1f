/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What is said on standard error, and when. */
@Timeout(30)
class LaunchLogTest {

  @TempDir Path directory;
  private final System.Logger log =
      new LaunchLog().getLogger("io.uloop.test", getClass().getModule());
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

  @Test
  void warnings_whileHeld_areSaidAtTheReleaseInOrder() {
    LaunchLog.hold();
    log.log(Level.WARNING, "first {0}", "one");
    log.log(Level.INFO, "too quiet");
    log.log(Level.WARNING, "second");
    assertThat(said.size()).isZero();

    LaunchLog.release();
    log.log(Level.WARNING, "third");
    LaunchLog.release();

    assertThat(said.toString(UTF_8).lines())
        .containsExactly("warning: first one", "warning: second", "warning: third");
  }

  @Test
  void error_whileHeld_isSaidAtOnceAfterWhatCameBefore() {
    LaunchLog.hold();
    log.log(Level.WARNING, "first");
    log.log(Level.ERROR, "second");

    assertThat(said.toString(UTF_8).lines()).containsExactly("warning: first", "error: second");
  }

  @Test
  void warnings_tooManyToHold_areCounted() {
    LaunchLog.hold();
    for (int i = 0; i < 250; i++) {
      log.log(Level.WARNING, "again");
    }
    LaunchLog.release();

    assertThat(said.toString(UTF_8).lines())
        .hasSize(101)
        .endsWith("warning: 150 more lines like these");
  }

  /** The pair is dropped, and then there is a file where the socket is to be. */
  @Test
  void start_thatFails_saysWarningsAndThenWhy() throws Exception {
    Path image = Files.write(directory.resolve("image"), new byte[10_000]);
    Path other = Files.write(directory.resolve("other"), new byte[20_000]);
    String cache = directory.resolve("cache").toString();
    PrintStream out = new PrintStream(new ByteArrayOutputStream(), true, UTF_8);
    new CtlCommand(out, System.err).run(new String[] {"fill", "-c", cache, image.toString()});
    said.reset();

    int code =
        new LaunchCommand("ulohttp", "[options] device URL", "Tests.")
            .run(
                new String[] {"--recreate", "-c", cache, "unix:" + other, other.toString()},
                out,
                System.err);

    assertThat(code).isEqualTo(LaunchCommand.EXIT_FAILURE);
    assertThat(said.toString(UTF_8).lines()).hasSize(2);
    assertThat(said.toString(UTF_8))
        .startsWith("warning: ")
        .contains("the pair is made anew")
        .containsPattern("\\nulohttp: .*no socket");
  }
}
