/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import com.code_intelligence.jazzer.junit.FuzzTest;
import java.io.IOException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;

/**
 * Coverage-guided fuzzing of the state machine against the model.
 *
 * <p>Each run of the tests replays the corpus, which lies beside the test's resources in {@code
 * SessionFuzzTestInputs}. With {@code JAZZER_FUZZ=1} one of the two looks for new inputs, the first
 * for a minute, as test.sh lets it, the other for ten:
 *
 * <pre>{@code
 * JAZZER_FUZZ=1 mvn verify -pl uloop-nbd-transport -am \\
 *     -Dtest='SessionFuzzTest#session_anyBytesForLong*' -Duloop.excludedGroups=
 * }</pre>
 *
 * What it finds wrong goes to the corpus by itself; what it finds new lies in {@code
 * .cifuzz-corpus}, and is used by the next run on that machine.
 */
class SessionFuzzTest {

  private static FuzzTarget target;

  @BeforeAll
  static void makeTarget() throws IOException {
    target = new FuzzTarget();
  }

  @AfterAll
  static void checkBuffers() {
    target.close();
  }

  @FuzzTest(maxDuration = "1m")
  @Timeout(150)
  void session_anyBytes_isAnsweredAsTheModelSays(byte[] input) throws IOException {
    target.run(input, input.length);
  }

  @Tag("slow")
  @FuzzTest(maxDuration = "10m")
  @Timeout(700)
  void session_anyBytesForLong_isAnsweredAsTheModelSays(byte[] input) throws IOException {
    target.run(input, input.length);
  }
}
