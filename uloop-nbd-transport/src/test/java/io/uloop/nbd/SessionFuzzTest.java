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
 * <p>A run of the slow tests replays the corpus, which lies beside the test's resources in {@code
 * SessionFuzzTestInputs}. {@code JAZZER_FUZZ=1 mvn … -Dtest=SessionFuzzTest} looks for new inputs,
 * for ten minutes; what it finds wrong goes to the corpus.
 */
@Tag("slow")
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

  @FuzzTest(maxDuration = "10m")
  @Timeout(700)
  void session_anyBytes_isAnsweredAsTheModelSays(byte[] input) throws IOException {
    target.run(input, input.length);
  }
}
