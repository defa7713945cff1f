/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.TestSeed;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class PagedBitsModelTest {

  @Test
  void randomOperations_agreeWithBitSet() {
    Random random = TestSeed.random("PagedBitsModelTest");
    for (int round = 0; round < 50; round++) {
      int bits = 1 + random.nextInt(3 * PagedBits.PAGE_BITS);
      PagedBits paged = new PagedBits(bits);
      BitSet model = new BitSet(bits);
      for (int step = 0; step < 200; step++) {
        int from = random.nextInt(bits + 1);
        int to = random.nextInt(4) == 0 ? bits : Math.min(bits, from + random.nextInt(5000));
        switch (random.nextInt(5)) {
          case 0 -> {
            assertThat(paged.set(from, to))
                .isEqualTo(to - from - model.get(from, to).cardinality());
            model.set(from, to);
          }
          case 1 -> {
            assertThat(paged.clear(from, to)).isEqualTo(model.get(from, to).cardinality());
            model.clear(from, to);
          }
          case 2 -> {
            int clear = model.nextClearBit(from);
            assertThat(paged.nextClear(from, to)).isEqualTo(Math.min(clear, to));
            assertThat(paged.all(from, to)).isEqualTo(clear >= to);
          }
          case 3 -> {
            int set = model.nextSetBit(from);
            assertThat(paged.nextSet(from, to)).isEqualTo(set < 0 ? to : Math.min(set, to));
          }
          default -> {
            int page = random.nextInt(paged.pageCount());
            long[] copy = paged.copyOf(page);
            paged.load(page, copy);
          }
        }
      }
      assertThat(paged.count()).isEqualTo(model.cardinality());
      for (int bit = 0; bit < bits; bit++) {
        assertThat(paged.get(bit)).isEqualTo(model.get(bit));
      }
    }
  }
}
