/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.http.Circuit.Admission;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
final class CircuitTest {

  private final AtomicLong clock = new AtomicLong();
  private final Circuit circuit = new Circuit(clock::get, 1);

  private Admission admitNow() throws InterruptedException {
    // A deadline of one nanosecond: whoever would have to wait is turned away.
    return circuit.admit(clock.get(), clock.get() + 1, () -> circuit.nanosUntilAdmission() == 0);
  }

  private void fail(int times) {
    for (int i = 0; i < times; i++) {
      circuit.failed(Admission.GO, 0);
    }
  }

  @Test
  void admit_twoFailures_staysClosed() throws InterruptedException {
    fail(2);

    assertThat(admitNow()).isEqualTo(Admission.GO);
  }

  @Test
  void admit_threeFailures_opensAndLetsOneProbeThrough() throws InterruptedException {
    fail(3);
    assertThat(admitNow()).isEqualTo(Admission.NO);

    clock.addAndGet(Circuit.FIRST_OPEN_NANOS);

    assertThat(admitNow()).isEqualTo(Admission.PROBE);
    assertThat(admitNow()).as("only one").isEqualTo(Admission.NO);
  }

  @Test
  void succeeded_probe_letsEverybodyIn() throws InterruptedException {
    fail(3);
    clock.addAndGet(Circuit.FIRST_OPEN_NANOS);
    admitNow();

    assertThat(circuit.succeeded()).isTrue();

    assertThat(admitNow()).isEqualTo(Admission.GO);
    assertThat(circuit.succeeded()).isFalse();
  }

  @Test
  void failed_probeAgainAndAgain_waitsLongerUpToTheLimit() throws InterruptedException {
    fail(3);
    long longest = 0;
    for (int i = 0; i < 12; i++) {
      long wait = circuit.nanosUntilAdmission();
      assertThat(wait).isBetween(1L, Circuit.LONGEST_OPEN_NANOS);
      longest = Math.max(longest, wait);
      clock.addAndGet(wait);
      assertThat(circuit.failed(admitNow(), 0)).as("was open already").isFalse();
    }
    assertThat(longest).isGreaterThan(Circuit.LONGEST_OPEN_NANOS / 2);
  }

  @Test
  void failed_requestFromBefore_doesNotProlong() {
    fail(3);
    long wait = circuit.nanosUntilAdmission();

    fail(30);

    assertThat(circuit.nanosUntilAdmission()).isEqualTo(wait);
  }

  @Test
  void failed_askedToWait_waitsThatLong() {
    assertThat(circuit.failed(Admission.GO, TimeUnit.SECONDS.toNanos(7))).isTrue();

    assertThat(circuit.nanosUntilAdmission()).isEqualTo(TimeUnit.SECONDS.toNanos(7));
  }

  @Test
  void undecided_probe_makesRoomForTheNext() throws InterruptedException {
    fail(3);
    clock.addAndGet(Circuit.FIRST_OPEN_NANOS);

    circuit.undecided(admitNow());

    assertThat(admitNow()).isEqualTo(Admission.PROBE);
  }
}
