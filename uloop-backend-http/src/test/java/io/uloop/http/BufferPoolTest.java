/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which buffer a body gets. */
class BufferPoolTest {

  private static final int WHOLE_MOST = 3;
  private static final int LARGE_MOST = 24;

  private BufferPool pool = new BufferPool(true, WHOLE_MOST);
  private final List<ByteBuffer> lent = new ArrayList<>();

  @AfterEach
  void givesAllBack() {
    lent.forEach(pool::give);
    assertThat(pool.lent()).isZero();
  }

  private ByteBuffer take(long wanted) {
    ByteBuffer buffer = pool.take(wanted);
    lent.add(buffer);
    return buffer;
  }

  @ParameterizedTest
  @CsvSource({
    "1, 32768",
    "32768, 32768",
    "32769, 262144",
    "262144, 262144",
    "262145, 1048576",
    "1048576, 1048576",
    "1099511627776, 1048576"
  })
  void take_anyLength_givesTheSizeThatHoldsIt(long wanted, int length) {
    assertThat(take(wanted).capacity()).isEqualTo(length);
    assertThat(pool.lent()).isOne();
  }

  @Test
  void take_allWholeOnesLent_givesSmallerOnesUntilOneComesBack() {
    for (int i = 0; i < WHOLE_MOST; i++) {
      assertThat(take(1 << 20).capacity()).isEqualTo(BufferPool.WHOLE_BYTES);
    }
    for (int i = 0; i < 3; i++) {
      assertThat(take(1 << 20).capacity()).isEqualTo(BufferPool.LARGE_BYTES);
    }
    ByteBuffer whole = lent.remove(0);
    pool.give(whole);
    assertThat(take(1 << 20)).isSameAs(whole);
    assertThat(take(1 << 20).capacity()).isEqualTo(BufferPool.LARGE_BYTES);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void give_moreThanAreKept_keepsTheLimit(boolean direct) {
    pool = new BufferPool(direct, WHOLE_MOST);
    List<ByteBuffer> many = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      many.add(pool.take(100_000));
    }
    many.forEach(pool::give);
    int again = 0;
    for (int i = 0; i < 100; i++) {
      ByteBuffer buffer = take(100_000);
      again += many.stream().anyMatch(old -> old == buffer) ? 1 : 0;
    }
    assertThat(again).isEqualTo(LARGE_MOST);
  }

  /** As nobody takes them back but a collector that has no reason to come. */
  @Test
  void direct_anyTakesAndGives_makeNoMoreThanAreKept() {
    List<ByteBuffer> made = new ArrayList<>();
    for (int round = 0; round < 5; round++) {
      for (int i = 0; i < 100; i++) {
        ByteBuffer buffer = take(100_000);
        if (buffer.isDirect() && made.stream().noneMatch(old -> old == buffer)) {
          made.add(buffer);
        }
      }
      assertThat(lent.stream().filter(ByteBuffer::isDirect).count()).isEqualTo(LARGE_MOST);
      lent.forEach(pool::give);
      lent.clear();
    }
    assertThat(made).hasSize(LARGE_MOST);
  }

  @Test
  void heap_isNeverDirect() {
    pool = new BufferPool(false, WHOLE_MOST);
    for (long wanted : new long[] {1, 100_000, 1 << 20}) {
      assertThat(take(wanted).isDirect()).isFalse();
    }
  }
}
