/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Tells for how long the machine stood still meanwhile, for limits of time in tests: a limit plus
 * {@link #slackNanos} is strict on a machine that is well, and lenient on one that was busy.
 *
 * <p><b>Threads:</b> any; it has one of its own until it is closed.
 */
public final class Metronome implements AutoCloseable {

  private static final long BEAT_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
  // What was late once may have been late at each of several steps.
  private static final int STEPS = 4;

  private final Thread thread = new Thread(this::beat, "metronome");
  private volatile boolean ended;
  private volatile long last = System.nanoTime();
  private volatile long worst;

  private Metronome() {
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * Starts one.
   *
   * @return it; measures from now on
   */
  public static Metronome start() {
    return new Metronome();
  }

  private void beat() {
    while (!ended) {
      LockSupport.parkNanos(BEAT_NANOS);
      long now = System.nanoTime();
      worst = Math.max(worst, now - last - BEAT_NANOS);
      last = now;
    }
  }

  /**
   * Gives by how much a limit is to be later.
   *
   * @return a few times the longest pause since the start
   */
  public long slackNanos() {
    long pausing = System.nanoTime() - last - BEAT_NANOS;
    return STEPS * Math.max(0, Math.max(worst, pausing));
  }

  @Override
  public void close() {
    ended = true;
    LockSupport.unpark(thread);
  }
}
