/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** The replies, byte by byte, as "Simple reply message" and "Structured reply types" draw them. */
class ReplyStyleTest {

  private static final int SIMPLE = 0x67446698;
  private static final int STRUCTURED = 0x668e33ef;
  private static final int EXTENDED = 0x6e8a278c;
  private static final short NO_FLAG = 0;
  private static final short DONE = 1;

  private static byte[] put(Consumer<ByteBuffer> action) {
    ByteBuffer out = ByteBuffer.allocate(100);
    action.accept(out);
    return Arrays.copyOf(out.array(), out.position());
  }

  @Test
  void putDone_eachStyle_isWhatTheTextDraws() {
    assertThat(put(b -> ReplyStyle.SIMPLE.putDone(b, 7, 9))).isEqualTo(bytes(SIMPLE, 0, 7L));
    assertThat(put(b -> ReplyStyle.STRUCTURED.putDone(b, 7, 9)))
        .isEqualTo(bytes(STRUCTURED, DONE, (short) 0, 7L, 0));
    assertThat(put(b -> ReplyStyle.EXTENDED.putDone(b, 7, 9)))
        .isEqualTo(bytes(EXTENDED, DONE, (short) 0, 7L, 9L, 0L));
  }

  @Test
  void putData_eachStyle_isWhatTheTextDraws() {
    assertThat(put(b -> ReplyStyle.SIMPLE.putData(b, 7, 9, 9, 512, true)))
        .isEqualTo(bytes(SIMPLE, 0, 7L));
    assertThat(put(b -> ReplyStyle.STRUCTURED.putData(b, 7, 9, 10, 512, true)))
        .isEqualTo(bytes(STRUCTURED, DONE, (short) 1, 7L, 520, 10L));
    assertThat(put(b -> ReplyStyle.EXTENDED.putData(b, 7, 9, 10, 512, false)))
        .isEqualTo(bytes(EXTENDED, NO_FLAG, (short) 1, 7L, 9L, 520L, 10L));
  }

  @Test
  void putHole_bothChunkedStyles_isWhatTheTextDraws() {
    assertThat(put(b -> ReplyStyle.STRUCTURED.putHole(b, 7, 9, 10, 512, false)))
        .isEqualTo(bytes(STRUCTURED, NO_FLAG, (short) 2, 7L, 12, 10L, 512));
    assertThat(put(b -> ReplyStyle.EXTENDED.putHole(b, 7, 9, 10, 512, true)))
        .isEqualTo(bytes(EXTENDED, DONE, (short) 2, 7L, 9L, 12L, 10L, 512));
  }

  @Test
  void putError_eachStyle_isWhatTheTextDraws() {
    byte[] text = {'n', 'o'};

    assertThat(put(b -> ReplyStyle.SIMPLE.putError(b, 7, 9, 22, text)))
        .isEqualTo(bytes(SIMPLE, 22, 7L));
    assertThat(put(b -> ReplyStyle.STRUCTURED.putError(b, 7, 9, 22, text)))
        .isEqualTo(bytes(STRUCTURED, DONE, (short) 0x8001, 7L, 8, 22, (short) 2, "no"));
    assertThat(put(b -> ReplyStyle.EXTENDED.putError(b, 7, 9, 22, text)))
        .isEqualTo(bytes(EXTENDED, DONE, (short) 0x8001, 7L, 9L, 8L, 22, (short) 2, "no"));
  }

  @Test
  void putErrorAt_structured_isWhatTheTextDraws() {
    assertThat(put(b -> ReplyStyle.STRUCTURED.putErrorAt(b, 7, 9, 5, new byte[0], 4096)))
        .isEqualTo(bytes(STRUCTURED, NO_FLAG, (short) 0x8002, 7L, 14, 5, (short) 0, 4096L));
  }
}
