/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class FetchUnitTest {

  private static final long BLOCKS = 1 << 20;
  private static final long UNIT = 16;
  private static final long WIDE = 64;
  private static final long REGION = 512;

  private final Counters counters = new Counters();
  private final FetchUnit unit = new FetchUnit(UNIT, 4096, BLOCKS, counters);

  /** Misses far from one another, each of which saves so many reads; gives the last one's reach. */
  private long misses(int count, int saving, long firstBlock) {
    long reach = 0;
    for (int i = 0; i < count; i++) {
      reach = unit.reach(firstBlock + i * REGION);
      counters.savedReads.add(saving);
    }
    return reach;
  }

  @Test
  void unitThatSavesNothing_shrinksToAQuarter() {
    assertThat(unit.reach(0)).isEqualTo(UNIT);
    misses(100, 0, REGION);

    assertThat(unit.blocks()).isEqualTo(UNIT / 4);
    assertThat(unit.reach(200 * REGION)).isEqualTo(UNIT / 4);
  }

  @Test
  void unitThatSaves_growsBackAndReachesFurther() {
    misses(100, 0, 0);
    misses(100, 2, 100 * REGION);

    assertThat(unit.blocks()).isEqualTo(UNIT);
    assertThat(unit.reach(300 * REGION)).as("first miss of a region").isEqualTo(WIDE);
    assertThat(unit.reach(300 * REGION + 100)).as("second miss").isEqualTo(REGION);
  }

  @Test
  void unitThatSavesNothingAnyMore_stopsReaching() {
    misses(100, 2, 0);
    misses(32, 0, 100 * REGION);

    assertThat(unit.reach(0)).isEqualTo(unit.blocks());
  }

  @Test
  void smallBoundedCache_isNotReachedOver() {
    FetchUnit bounded = new FetchUnit(UNIT, 20, BLOCKS, counters);
    for (int i = 0; i < 100; i++) {
      assertThat(bounded.reach(i % 7)).isLessThanOrEqualTo(UNIT);
      counters.savedReads.add(3);
    }
  }

  @Test
  void lastBlock_hasARegion() {
    FetchUnit tiny = new FetchUnit(1, 1, 1, counters);

    assertThat(tiny.reach(0)).isEqualTo(1);
  }
}
