/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.util.Random;

/**
 * Gives tests their randomness: one seed a run, printed once, replayed with {@code -Duloop.seed=}.
 */
public final class TestSeed {

  /** The seed of this run. */
  public static final long VALUE = choose();

  private TestSeed() {}

  private static long choose() {
    String fixed = System.getProperty("uloop.seed", "");
    long seed = fixed.isEmpty() ? System.nanoTime() : Long.parseLong(fixed);
    System.out.println("-Duloop.seed=" + seed);
    return seed;
  }

  /**
   * Makes a generator.
   *
   * @param who the test; each has its own sequence, the same for the same seed
   */
  public static Random random(String who) {
    return new Random(VALUE ^ ((long) who.hashCode() << 20));
  }
}
