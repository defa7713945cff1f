/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RequestHeaderTest {

  @Test
  void decode_compact_takesLengthAsUnsigned() {
    RequestHeader header = new RequestHeader();

    assertThat(
            header.decode(
                ByteBuffer.wrap(bytes(0x25609513, (short) 4, (short) 0xffff, -1L, 5L, -1)), false))
        .isTrue();

    assertThat(header.flags).isEqualTo(4);
    assertThat(header.type).isEqualTo(0xffff);
    assertThat(header.cookie).isEqualTo(-1L);
    assertThat(header.offset).isEqualTo(5);
    assertThat(header.length).isEqualTo(0xffff_ffffL);
  }

  @Test
  void decode_extended_takes64BitLength() {
    RequestHeader header = new RequestHeader();

    assertThat(
            header.decode(
                ByteBuffer.wrap(bytes(0x21e41c71, (short) 0, (short) 7, 1L, 2L, 1L << 40)), true))
        .isTrue();

    assertThat(header.length).isEqualTo(1L << 40);
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void decode_otherMagic_isRefused(boolean extended) {
    ByteBuffer wrong = ByteBuffer.allocate(32).putInt(0, extended ? 0x25609513 : 0x21e41c71);

    assertThat(new RequestHeader().decode(wrong, extended)).isFalse();
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0, 100, true",
    "0, 100, 100, true",
    "100, 0, 100, true",
    "100, 1, 100, false",
    "0, 101, 100, false",
    "-1, 1, 100, false",
    "1, -1, 100, false",
    "9223372036854775807, 9223372036854775807, 100, false",
    "5, 9223372036854775807, 9223372036854775807, false",
  })
  void within_edges_neverOverflows(long offset, long length, long size, boolean expected) {
    RequestHeader header = new RequestHeader();
    header.offset = offset;
    header.length = length;

    assertThat(header.within(size)).isEqualTo(expected);
  }
}
