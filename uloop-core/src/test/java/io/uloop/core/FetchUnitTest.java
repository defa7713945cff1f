/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class FetchUnitTest {

  private static final long BLOCKS = 1 << 20;
  private static final long UNIT = 16;
  private static final long WIDE = 256;
  private static final long FARTHEST = 2048;

  private final Counters counters = new Counters();
  private final PagedBits there = new PagedBits(BLOCKS);
  private final FetchUnit unit = new FetchUnit(UNIT, FARTHEST, there, counters);

  /** Misses, each of which saves so many reads. */
  private void misses(int count, int saving) {
    for (int i = 0; i < count; i++) {
      unit.reach(i * WIDE);
      counters.savedReads.add(saving);
    }
  }

  @Test
  void unitThatSavesNothing_shrinksToAQuarter() {
    assertThat(unit.reach(0)).isEqualTo(UNIT);
    misses(100, 0);

    assertThat(unit.blocks()).isEqualTo(UNIT / 4);
    assertThat(unit.reach(200 * WIDE)).isEqualTo(UNIT / 4);
  }

  @Test
  void unitThatSaves_growsBackAndReachesFurther() {
    misses(100, 0);
    misses(100, 2);

    assertThat(unit.blocks()).isEqualTo(UNIT);
    assertThat(unit.reach(300 * WIDE)).isEqualTo(WIDE);
  }

  @Test
  void unitThatSavesNothingAnyMore_stopsReaching() {
    misses(100, 2);
    misses(32, 0);

    assertThat(unit.reach(0)).isEqualTo(unit.blocks());
  }

  @Test
  void reachGrowsWithWhatIsThereAround() {
    misses(100, 2);
    there.set(0, WIDE);
    assertThat(unit.reach(WIDE)).as("the other half is there").isEqualTo(2 * WIDE);
    there.set(WIDE, 2 * WIDE);
    assertThat(unit.reach(2 * WIDE)).as("three of four will be").isEqualTo(4 * WIDE);
    there.clear(0, WIDE / 2);
    assertThat(unit.reach(2 * WIDE)).as("five of eight will be").isEqualTo(4 * WIDE);
    there.clear(0, WIDE);
    assertThat(unit.reach(2 * WIDE)).as("half of it will be").isEqualTo(WIDE);
    there.set(0, 8 * WIDE);
    there.clear(7 * WIDE, 8 * WIDE);
    assertThat(unit.reach(7 * WIDE)).as("all the rest is there").isEqualTo(8 * WIDE);
    assertThat(unit.reach(8 * WIDE)).as("nothing is there").isEqualTo(WIDE);
  }

  @Test
  void whatIsThereDoesNotMatter_asLongAsNothingIsSaved() {
    there.set(0, WIDE);

    assertThat(unit.reach(WIDE)).isEqualTo(UNIT);
  }

  @Test
  void reachIsWhatComesWithinAWait() {
    misses(100, 2);
    there.set(0, 7 * WIDE);
    unit.took(WIDE, 20_000_000, 1_000_000);
    assertThat(unit.reach(7 * WIDE)).as("quick").isEqualTo(FARTHEST);
    unit.took(WIDE, 90_000_000, 21_000_000);
    assertThat(unit.reach(7 * WIDE)).as("slower than the least wait").isEqualTo(FARTHEST / 2);
    unit.took(WIDE, 90_000_000, 15_000_000);
    assertThat(unit.reach(7 * WIDE)).as("neither quick nor slow").isEqualTo(FARTHEST / 2);
    for (int i = 0; i < 20; i++) {
      unit.took(WIDE, 20_000_000, 400_000_000);
    }
    assertThat(unit.reach(7 * WIDE)).as("slow").isEqualTo(UNIT);
    assertThat(unit.limited()).isTrue();
    for (int i = 0; i < 20; i++) {
      unit.took(1, 20_000_000, 1_000_000);
    }
    assertThat(unit.reach(7 * WIDE)).as("a little that came soon").isEqualTo(UNIT);
    for (int i = 0; i < 20; i++) {
      unit.took(UNIT, 90_000_000, 0);
    }
    assertThat(unit.reach(7 * WIDE)).as("in one piece, waited for").isEqualTo(UNIT);
    for (int i = 0; i < 60; i++) {
      unit.took(UNIT, 20_000_000, 100_000);
    }
    assertThat(unit.reach(7 * WIDE)).as("quick again").isEqualTo(FARTHEST);
    assertThat(unit.limited()).isFalse();
  }

  @Test
  void sourceThatIsNear_isNotSlow() {
    for (int i = 0; i < 20; i++) {
      unit.took(WIDE, 50_000, 500_000); // 2 GB/s
    }
    assertThat(unit.limited()).isFalse();
  }

  @Test
  void smallBoundedCache_isNotReachedOver() {
    FetchUnit bounded = new FetchUnit(UNIT, 20, there, counters);
    there.set(0, 1000);
    for (int i = 0; i < 100; i++) {
      assertThat(bounded.reach(i % 7)).isLessThanOrEqualTo(UNIT);
      counters.savedReads.add(3);
    }
  }

  @Test
  void lastBlock_hasSurroundings() {
    FetchUnit tiny = new FetchUnit(1, 1, new PagedBits(1), counters);

    assertThat(tiny.reach(0)).isEqualTo(1);

    FetchUnit odd = new FetchUnit(UNIT, FARTHEST, new PagedBits(777), counters);
    for (int i = 0; i < 100; i++) {
      assertThat(odd.reach(776)).isLessThanOrEqualTo(WIDE);
      counters.savedReads.add(3);
    }
  }
}
