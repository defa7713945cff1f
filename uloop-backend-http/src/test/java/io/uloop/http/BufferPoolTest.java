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

/** Which buffer a body gets. */
class BufferPoolTest {

  private static final int WHOLE_MOST = 3;

  private final BufferPool pool = new BufferPool(true, WHOLE_MOST);
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

  @Test
  void give_moreThanAreKept_keepsTheLimit() {
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
    assertThat(again).isEqualTo(8);
  }
}
