/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.TestSeed;
import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ZeroesTest {

  private static final int MOST = 40_000;

  private final Zeroes zeroes = new Zeroes();
  private final Random random = TestSeed.random("ZeroesTest");

  /** The kinds of buffer there are: heap (whole and slice), read-only, direct. */
  private ByteBuffer buffer(int kind) {
    return switch (kind) {
      case 0 -> ByteBuffer.allocate(MOST);
      case 1 -> ByteBuffer.allocate(MOST + 13).position(13).slice();
      case 2 -> ByteBuffer.allocate(MOST).asReadOnlyBuffer();
      default -> ByteBuffer.allocateDirect(MOST);
    };
  }

  @Test
  void zeroesAndOneByteThatIsNot_areToldApart() {
    for (int round = 0; round < 2000; round++) {
      ByteBuffer bytes = buffer(random.nextInt(4));
      int index = random.nextInt(100);
      int length = 1 + random.nextInt(random.nextInt(4) == 0 ? MOST - 100 : 5000);
      assertThat(zeroes.only(bytes, index, length)).isTrue();
      if (bytes.isReadOnly()) {
        continue;
      }
      int at = random.nextInt(MOST);
      bytes.put(at, (byte) (1 + random.nextInt(255)));
      assertThat(zeroes.only(bytes, index, length))
          .as("index=%d length=%d other byte at %d", index, length, at)
          .isEqualTo(at < index || at >= index + length);
      assertThat(bytes.position()).isZero();
    }
  }

  @Test
  void nothing_isZero() {
    assertThat(zeroes.only(ByteBuffer.allocate(0), 0, 0)).isTrue();
  }
}
