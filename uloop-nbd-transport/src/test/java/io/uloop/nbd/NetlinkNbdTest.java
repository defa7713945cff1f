/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class NetlinkNbdTest {

  private static final NetlinkNbd.Timeouts TIMEOUTS =
      new NetlinkNbd.Timeouts(Duration.ofSeconds(40), Duration.ofSeconds(60));

  private final NetlinkFakeKernel kernel = new NetlinkFakeKernel();

  @Test
  void open_noFamily_isEmptyAndClosed() throws Exception {
    kernel.hasFamily = false;

    assertThat(NetlinkNbd.open(kernel)).isEmpty();
    assertThat(kernel.closed).isTrue();
  }

  @Test
  void connect_nextFree_sendsAllAttributesButTheIndex() throws Exception {
    kernel.answerCommand = NetlinkNbd.CMD_CONNECT;
    kernel.answer = new NetlinkAttributes.Builder().u32(NetlinkNbd.ATTR_INDEX, 11).build();

    int index =
        nbd()
            .connect(
                OptionalInt.empty(),
                new NetlinkNbd.Configuration(1 << 20, 512, 0x103, TIMEOUTS, Optional.of("id")),
                List.of(5, 6));

    NetlinkAttributes sent = kernel.requests.get(0).attributes();
    assertThat(index).isEqualTo(11);
    assertThat(kernel.requests.get(0).type()).isEqualTo(NetlinkFakeKernel.FAMILY_ID);
    assertThat(kernel.requests.get(0).command()).isEqualTo(1);
    assertThat(sent.find(1)).isEmpty();
    assertThat(sent.find(2).orElseThrow().getLong()).isEqualTo(1 << 20);
    assertThat(sent.find(3).orElseThrow().getLong()).isEqualTo(512);
    assertThat(sent.find(4).orElseThrow().getLong()).isEqualTo(40);
    assertThat(sent.find(5).orElseThrow().getLong()).isEqualTo(0x103);
    assertThat(sent.find(8).orElseThrow().getLong()).isEqualTo(60);
    assertThat(sent.find(10).map(NetlinkAttributes::text)).hasValue("id");
    assertThat(sent.nested(7).all(1)).hasSize(2);
    ByteBuffer second = sent.nested(7).all(1).get(1);
    assertThat(NetlinkAttributes.parse(second).number(1)).isEqualTo(6);
  }

  @Test
  void connect_refused_throwsWithNumberAndWords() throws Exception {
    kernel.errno = NativeException.EPERM;

    assertThatThrownBy(
            () ->
                nbd()
                    .connect(
                        OptionalInt.of(0),
                        new NetlinkNbd.Configuration(512, 512, 1, TIMEOUTS, Optional.empty()),
                        List.of(3)))
        .isInstanceOfSatisfying(NativeException.class, e -> assertThat(e.errno()).isEqualTo(1))
        .hasMessageContaining("netlink nbd CONNECT")
        .hasMessageContaining("CAP_SYS_ADMIN");
  }

  @Test
  void connect_acknowledgedWithoutIndex_throws() throws Exception {
    assertThatThrownBy(
            () ->
                nbd()
                    .connect(
                        OptionalInt.of(0),
                        new NetlinkNbd.Configuration(512, 512, 1, TIMEOUTS, Optional.empty()),
                        List.of(3)))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("without an index");
  }

  @Test
  void status_listsDevices() throws Exception {
    kernel.answerCommand = NetlinkNbd.CMD_STATUS;
    kernel.answer =
        new NetlinkAttributes.Builder()
            .nest(
                NetlinkNbd.ATTR_DEVICE_LIST,
                new NetlinkAttributes.Builder()
                    .nest(1, new NetlinkAttributes.Builder().u32(1, 0).u32(2, 1))
                    .nest(1, new NetlinkAttributes.Builder().u32(1, 1).u32(2, 0)))
            .build();

    assertThat(nbd().status()).isEqualTo(Map.of(0, true, 1, false));
  }

  @Test
  void deadLinks_twoOfOneDevice_areBothReported() throws Exception {
    NetlinkNbd nbd = nbd();
    nbd.watchLinks();
    byte[] index = new NetlinkAttributes.Builder().u32(NetlinkNbd.ATTR_INDEX, 3).build();
    kernel.announce(NetlinkNbd.CMD_LINK_DEAD, index);
    kernel.announce(NetlinkNbd.CMD_LINK_DEAD, index);

    assertThat(kernel.joined).containsExactly(NetlinkFakeKernel.GROUP_ID);
    assertThat(nbd.deadLinks(0)).containsExactly(3);
    assertThat(nbd.deadLinks(0)).containsExactly(3);
    assertThat(nbd.deadLinks(0)).isEmpty();
  }

  @Test
  void timeouts_requestOfZero_isRefused() {
    assertThatThrownBy(() -> new NetlinkNbd.Timeouts(Duration.ZERO, Duration.ZERO))
        .isInstanceOf(IllegalArgumentException.class);
  }

  private NetlinkNbd nbd() throws IOException {
    return NetlinkNbd.open(kernel).orElseThrow();
  }
}
