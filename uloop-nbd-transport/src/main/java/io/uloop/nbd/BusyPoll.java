/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.time.Duration;

/**
 * Decides when an event loop polls for a short time before it goes to sleep.
 *
 * <p>A client that sends one request at a time sends the next one some 10 us after each answer. To
 * sleep and be woken for it costs more than the request does, above all in a virtual machine, whose
 * idle processor has to be woken too. So after {@link #STREAK} waits that each brought one read of
 * what is present, and while waits are short, the loop polls first; this doubles what such a client
 * gets, for the rest of a processor. Clients with more in flight, and idle ones, cost nothing more.
 *
 * <p>What is polled in vain is bounded: after each such poll, and after one in which another thread
 * had the processor, twice as many waits as the last time go without one, up to {@link
 * #MOST_SKIPPED}.
 *
 * <p><b>Threads:</b> the loop's only.
 *
 * <p><b>Source:</b> the kernel does the same for guests that halt (Documentation/virt/kvm,
 * "halt-polling") and for sockets (SO_BUSY_POLL, socket(7); 50 us is what its documentation
 * recommends).
 */
final class BusyPoll {

  /** How long to poll unless told otherwise; not on a machine of one processor. */
  static final Duration DEFAULT =
      Runtime.getRuntime().availableProcessors() > 1 ? Duration.ofNanos(50_000) : Duration.ZERO;

  private static final int STREAK = 16;
  private static final int MOST_SKIPPED = 64;

  private final long nanos;

  /** Reads answered at once since the last wait. */
  private int answered;

  /** How many waits in a row brought one of them each. */
  private int ones;

  /** Whether the last wait was short, by being polled or not. */
  private boolean brisk;

  /** How many waits go without a poll from now on, and how many the last time. */
  private int toSkip;

  private int skipped = 1;

  /**
   * Makes one.
   *
   * @param nanos how long to poll at most; 0 for never
   */
  BusyPoll(long nanos) {
    this.nanos = nanos;
  }

  long nanos() {
    return nanos;
  }

  /** Takes note of a read that was answered at once. */
  void answered() {
    answered++;
  }

  /** Tells whether to poll now, as a wait begins. */
  boolean pays() {
    ones = answered == 1 ? ones + 1 : 0;
    answered = 0;
    if (nanos == 0 || ones < STREAK || !brisk) {
      return false;
    }
    if (toSkip > 0) {
      toSkip--;
      return false;
    }
    return true;
  }

  /**
   * Takes note of the end of a poll.
   *
   * @param some whether something came
   * @param polled how long it took until then; much longer than it may, if another thread wanted
   *     the processor, and then a sleep would have ended sooner
   */
  void ended(boolean some, long polled) {
    if (some && polled < 2 * nanos) {
      skipped = 1;
    } else {
      skipped = Math.min(MOST_SKIPPED, 2 * skipped);
      toSkip = skipped;
    }
  }

  /** Takes note of a sleep, of which being woken is a part. */
  void slept(long nanosAsleep) {
    brisk = nanosAsleep < 2 * nanos;
  }
}
