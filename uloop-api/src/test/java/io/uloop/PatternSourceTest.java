/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class PatternSourceTest {

  @Test
  void read_unaligned_agreesWithByteAt() throws Exception {
    long offset = (1L << 44) - 21;
    byte[] bytes = BlockSourceContract.read(new PatternSource(1L << 44), offset, 21);

    for (int i = 0; i < bytes.length; i++) {
      assertThat(bytes[i]).isEqualTo(PatternSource.byteAt(offset + i));
    }
  }
}
