/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.TestSeed;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A process is killed again and again while it fills one pair; what is left must be right. */
@Timeout(300)
@Tag("slow")
class KillTest {

  private static final long SIZE = (24 << 20) + 777;
  private static final int KILLS = 20;

  @RegisterExtension final Guard guard = new Guard();
  @TempDir Path dir;

  @ParameterizedTest
  @CsvSource({"true,0", "false,0", "false,2097152"})
  void process_killedAtRandomMoments_leavesOnlyRightBlocks(boolean checksums, long limit)
      throws Exception {
    Random random = TestSeed.random("KillTest");
    CachePair pair = new CachePair(dir.resolve("c"), dir.resolve("b"));
    long found = 0;
    for (int kill = 0; kill < KILLS; kill++) {
      String seed = Long.toString(random.nextLong());
      Process process =
          limit == 0
              ? start(checksums, seed)
              : OtherProcess.start(
                  OtherProcess.ReadUntilKilled.class,
                  dir.toString(),
                  "" + SIZE,
                  "" + checksums,
                  seed,
                  "" + limit);
      try (BufferedReader out =
          new BufferedReader(
              new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
        String line = out.readLine();
        // Now and then in the middle of the opening.
        if (random.nextInt(5) > 0) {
          assertThat(line).isEqualTo("ready");
          assertThat(process.waitFor(random.nextInt(400), TimeUnit.MILLISECONDS)).isFalse();
        }
        process.destroyForcibly().waitFor();
      }
      found += PairCheck.rightBlocks(pair, SIZE, checksums).cardinality();
    }
    System.out.printf("%d kills, %d present blocks compared%n", KILLS, found);
    assertThat(found).isPositive();
  }

  private Process start(boolean checksums, String seed) throws Exception {
    return OtherProcess.start(
        OtherProcess.ReadUntilKilled.class, dir.toString(), "" + SIZE, "" + checksums, seed);
  }
}
