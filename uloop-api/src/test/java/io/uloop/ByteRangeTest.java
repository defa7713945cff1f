/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ByteRangeTest {

  @Test
  void ofLength_offsetAndLength_isHalfOpen() {
    ByteRange range = ByteRange.ofLength(10, 5);

    assertThat(range).isEqualTo(new ByteRange(10, 15));
    assertThat(range.length()).isEqualTo(5);
    assertThat(range).hasToString("[10, 15)");
  }

  @Test
  void isEmpty_onlyWithoutBytes() {
    assertThat(new ByteRange(7, 7).isEmpty()).isTrue();
    assertThat(new ByteRange(7, 8).isEmpty()).isFalse();
  }

  @Test
  void contains_bordersBelongToIt() {
    ByteRange range = new ByteRange(10, 20);

    assertThat(range.contains(range)).isTrue();
    assertThat(range.contains(new ByteRange(12, 12))).isTrue();
    assertThat(range.contains(new ByteRange(9, 12))).isFalse();
    assertThat(range.contains(new ByteRange(12, 21))).isFalse();
  }

  @Test
  void new_impossibleBounds_areNamed() {
    assertThatThrownBy(() -> new ByteRange(-1, 3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("start=-1");
    assertThatThrownBy(() -> new ByteRange(5, 4))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("end=4");
    assertThatThrownBy(() -> ByteRange.ofLength(Long.MAX_VALUE, 1))
        .isInstanceOf(ArithmeticException.class);
  }
}
