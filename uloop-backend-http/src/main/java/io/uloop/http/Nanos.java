/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.time.Duration;

/**
 * Times on the clock of {@link System#nanoTime}, which may begin anywhere and wrap around: two of
 * them are compared by their difference only.
 */
final class Nanos {

  /**
   * The longest duration, 146 years; longer ones are cut to it. It leaves as much again, so that
   * the difference of a deadline and any time of this process is what it seems to be.
   */
  static final long LONGEST = Long.MAX_VALUE / 2;

  private static final Duration LONGEST_DURATION = Duration.ofNanos(LONGEST);

  private Nanos() {}

  /** Gives a duration, zero or longer, in nanoseconds. */
  static long of(Duration duration) {
    return duration.compareTo(LONGEST_DURATION) < 0 ? duration.toNanos() : LONGEST;
  }

  /** Gives the time so long after another, but the deadline if that comes before. */
  static long after(long now, long nanos, long deadline) {
    return now + Math.min(nanos, deadline - now);
  }
}
