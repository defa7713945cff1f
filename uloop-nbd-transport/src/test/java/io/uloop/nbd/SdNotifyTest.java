/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(20)
class SdNotifyTest {

  @TempDir Path directory;

  @Test
  void ready_pathAddress_arrives() throws Exception {
    assertThat(sent(directory.resolve("notify").toString())).isEqualTo("READY=1\nSTATUS=up");
  }

  @Test
  void ready_abstractAddress_arrives() throws Exception {
    assertThat(sent("@uloop-test-" + ProcessHandle.current().pid()))
        .isEqualTo("READY=1\nSTATUS=up");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "vsock:2:1234", "relative"})
  void ready_addressOfAnotherKind_isForNobody(String address) throws Exception {
    SdNotify.to(address).ready("up");
    SdNotify.to(null).stopping();
  }

  @Test
  void ready_nobodyThere_throws() {
    assertThatThrownBy(() -> SdNotify.to(directory.resolve("none").toString()).ready("up"))
        .isInstanceOf(NativeException.class)
        .hasMessageContaining("sendto");
  }

  @Test
  void activation_descriptorsOfAnotherProcess_areNotOurs() throws IOException {
    Map<String, String> environment = Map.of("LISTEN_PID", "77", "LISTEN_FDS", "2");

    assertThat(SdActivation.descriptors(environment, 77)).isEqualTo(2);
    assertThat(SdActivation.descriptors(environment, 78)).isZero();
    assertThat(SdActivation.descriptors(Map.of(), 78)).isZero();
  }

  private static String sent(String address) throws IOException {
    NativeCalls calls = NativeCalls.load();
    try (NativeFd systemd = calls.socket(UnixSocketAddress.AF_UNIX, UnixSocket.SOCK_DGRAM, 0)) {
      calls.bind(systemd, UnixSocketAddress.of(address));
      SdNotify.to(address).ready("up");
      byte[] got = new byte[100];
      int length = calls.recv(systemd, got, 0);
      return new String(got, 0, length, StandardCharsets.UTF_8);
    }
  }
}
