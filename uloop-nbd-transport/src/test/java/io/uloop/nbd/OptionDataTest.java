/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class OptionDataTest {

  @Test
  void info_nameAndRequests_areTaken() {
    OptionData.Info info =
        OptionData.info(ByteBuffer.wrap(NbdTestClient.infoData("disk", 1, 3, 999)));

    assertThat(info).isNotNull();
    assertThat(info.name()).isEqualTo("disk");
    assertThat(info.wants(1)).isTrue();
    assertThat(info.wants(2)).isFalse();
    assertThat(info.wants(3)).isTrue();
  }

  static Stream<byte[]> badInfos() {
    return Stream.of(
        bytes(),
        bytes((short) 0),
        bytes(1, "a"),
        bytes(5, "a", (short) 0),
        bytes(-1, "a", (short) 0),
        bytes(0x7fffffff, "a", (short) 0),
        bytes(1, "a", (short) 1),
        bytes(1, "a", (short) 0, (short) 0),
        bytes(1, "a", (short) -1, (short) 0),
        bytes(1, "\0", (short) 0),
        bytes(2, new byte[] {(byte) 0xc3, 0x28}, (short) 0),
        bytes(4097, "x".repeat(4097), (short) 0));
  }

  @ParameterizedTest
  @MethodSource("badInfos")
  void info_malformed_isNull(byte[] data) {
    assertThat(OptionData.info(ByteBuffer.wrap(data))).isNull();
  }

  @Test
  void meta_queries_areTaken() {
    OptionData.Meta meta =
        OptionData.meta(ByteBuffer.wrap(NbdTestClient.metaData("disk", "base:", "x-uloop:cached")));

    assertThat(meta)
        .isEqualTo(new OptionData.Meta("disk", java.util.List.of("base:", "x-uloop:cached")));
  }

  static Stream<byte[]> badMetas() {
    return Stream.of(
        bytes(),
        bytes(0),
        bytes(1, "a"),
        bytes(1, "a", 1),
        bytes(1, "a", 1, 4, "a:b"),
        bytes(1, "a", 1, 2, "ab"),
        bytes(1, "a", 2, 2, "a:"),
        bytes(1, "a", 0, 0),
        bytes(1, "a", -1, 2, "a:"),
        bytes(1, "a", 0x7fffffff, 2, "a:"));
  }

  @ParameterizedTest
  @MethodSource("badMetas")
  void meta_malformed_isNull(byte[] data) {
    assertThat(OptionData.meta(ByteBuffer.wrap(data))).isNull();
  }
}
