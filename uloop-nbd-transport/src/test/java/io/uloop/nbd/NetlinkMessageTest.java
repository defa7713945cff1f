/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class NetlinkMessageTest {

  @Test
  void request_layout_isTheKernels() {
    byte[] bytes = NetlinkMessage.request(0x1c, 7, 5, 1, new byte[] {1, 2, 3, 4});

    ByteBuffer b = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
    assertThat(bytes).hasSize(24);
    assertThat(b.getInt(0)).as("nlmsg_len").isEqualTo(24);
    assertThat(b.getShort(4)).as("nlmsg_type").isEqualTo((short) 0x1c);
    assertThat(b.getShort(6)).as("REQUEST|ACK").isEqualTo((short) 5);
    assertThat(b.getInt(8)).as("nlmsg_seq").isEqualTo(7);
    assertThat(b.get(16)).as("cmd").isEqualTo((byte) 5);
    assertThat(b.get(17)).as("version").isEqualTo((byte) 1);
    assertThat(b.get(20)).as("first attribute").isEqualTo((byte) 1);
  }

  @Test
  void attributes_ofOddLength_arePaddedAndReadBack() throws Exception {
    byte[] bytes =
        new NetlinkAttributes.Builder()
            .text(2, "nbd")
            .u32(3, -5)
            .text(4, "abcd")
            .u64(5, Long.MIN_VALUE)
            .nest(6, new NetlinkAttributes.Builder().u32(1, 9).u32(1, 10))
            .build();

    NetlinkAttributes read = NetlinkAttributes.parse(ByteBuffer.wrap(bytes));
    assertThat(bytes.length % 4).isZero();
    assertThat(read.find(2).map(NetlinkAttributes::text)).hasValue("nbd");
    assertThat(read.number(3)).isEqualTo(-5);
    assertThat(read.find(4).map(NetlinkAttributes::text)).hasValue("abcd");
    assertThat(read.find(5).orElseThrow().getLong()).isEqualTo(Long.MIN_VALUE);
    assertThat(read.nested(6).all(1)).extracting(ByteBuffer::getInt).containsExactly(9, 10);
    assertThat(read.find(7)).isEmpty();
    assertThat(read.nested(7).payloads()).isEmpty();
  }

  @Test
  void attributes_lengthBeyondTheEnd_areRefused() {
    ByteBuffer bytes = ByteBuffer.allocate(8).order(ByteOrder.nativeOrder());
    bytes.putShort((short) 9).putShort((short) 1);

    assertThatThrownBy(() -> NetlinkAttributes.parse(bytes.rewind()))
        .isInstanceOf(ProtocolException.class);
  }

  @Test
  void parse_twoMessagesThenBufferReused_keepsBoth() throws Exception {
    byte[] one = NetlinkMessage.request(20, 1, 2, 1, new byte[0]);
    byte[] two = NetlinkMessage.request(21, 2, 3, 1, new byte[4]);
    byte[] buffer = new byte[4096];
    System.arraycopy(one, 0, buffer, 0, one.length);
    System.arraycopy(two, 0, buffer, one.length, two.length);

    List<NetlinkMessage> messages = NetlinkMessage.parse(buffer, one.length + two.length);
    java.util.Arrays.fill(buffer, (byte) 0x77);

    assertThat(messages).extracting(NetlinkMessage::type).containsExactly(20, 21);
    assertThat(messages.get(1).command()).isEqualTo(3);
  }

  @Test
  void parse_lengthBeyondTheDatagram_isRefused() {
    byte[] message = NetlinkMessage.request(20, 1, 2, 1, new byte[0]);

    assertThatThrownBy(() -> NetlinkMessage.parse(message, message.length - 1))
        .isInstanceOf(ProtocolException.class);
  }

  @Test
  void error_withText_givesNumberAndText() throws Exception {
    NetlinkMessage error = error(-22, 0x300, "must specify a size");

    assertThat(error.errno()).isEqualTo(22);
    assertThat(error.errorText()).isEqualTo("must specify a size");
  }

  @Test
  void error_withoutText_givesNumberOnly() throws Exception {
    NetlinkMessage error = error(-16, 0x100, "");

    assertThat(error.errno()).isEqualTo(16);
    assertThat(error.errorText()).isEmpty();
  }

  @Test
  void error_withTheWholeRequestEchoed_findsTheTextBehindIt() throws Exception {
    byte[] request = NetlinkMessage.request(0x1c, 3, 1, 1, new byte[8]);
    byte[] text = new NetlinkAttributes.Builder().text(1, "no").build();
    int length = 16 + 4 + request.length + text.length;
    ByteBuffer b = header(length, 0x200).putInt(-1).put(request).put(text);

    NetlinkMessage error = NetlinkMessage.parse(b.array(), length).get(0);

    assertThat(error.errorText()).isEqualTo("no");
  }

  static NetlinkMessage error(int errno, int flags, String text) throws ProtocolException {
    byte[] attribute =
        text.isEmpty() ? new byte[0] : new NetlinkAttributes.Builder().text(1, text).build();
    int length = 16 + 4 + 16 + attribute.length;
    ByteBuffer b = header(length, flags | (text.isEmpty() ? 0 : 0x200)).putInt(errno);
    b.put(new byte[16]).put(attribute);
    return NetlinkMessage.parse(b.array(), length).get(0);
  }

  private static ByteBuffer header(int length, int flags) {
    return ByteBuffer.allocate(length)
        .order(ByteOrder.nativeOrder())
        .putInt(length)
        .putShort((short) 2)
        .putShort((short) flags)
        .putInt(3)
        .putInt(0);
  }
}
