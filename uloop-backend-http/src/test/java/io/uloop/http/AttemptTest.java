/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

/** How a request is ended from outside. */
class AttemptTest {

  private final Attempt attempt = new Attempt(Long.MAX_VALUE);
  private final AtomicInteger first = new AtomicInteger();
  private final AtomicInteger second = new AtomicInteger();

  @Test
  void abort_endsWhatItIsInAndWhatBeginsLater() throws IOException {
    attempt.enter(first::incrementAndGet);
    attempt.abort("enough");
    attempt.abort("more than enough");

    assertThatThrownBy(() -> attempt.enter(second::incrementAndGet)).hasMessage("enough");
    assertThat(first).hasValue(1);
    assertThat(second).hasValue(1);
    assertThat(attempt.aborted()).isEqualTo("enough");
  }

  @Test
  void abort_leavesAloneWhatIsOver() throws IOException {
    attempt.enter(first::incrementAndGet);
    attempt.enter(second::incrementAndGet);
    attempt.leave();
    attempt.abort("enough");

    assertThat(first).hasValue(0);
    assertThat(second).hasValue(0);
  }

  @Test
  void watchdogClosed_endsWhatIsUnderWayAndWhatBeginsLater() {
    Attempt over = new Attempt(Long.MAX_VALUE);
    Attempt later = new Attempt(Long.MAX_VALUE);
    try (Watchdog watchdog = new Watchdog("watchdog", () -> false)) {
      watchdog.add(attempt);
      watchdog.add(over);
      watchdog.remove(over);
      watchdog.close();
      watchdog.add(later);
    }

    assertThat(attempt.aborted()).isEqualTo("closed");
    assertThat(later.aborted()).isEqualTo("closed");
    assertThat(over.aborted()).isNull();
  }
}
