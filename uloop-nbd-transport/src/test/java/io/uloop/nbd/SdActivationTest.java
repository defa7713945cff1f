/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** sd_listen_fds(3): what the environment says. The sockets themselves are tested end to end. */
class SdActivationTest {

  @Test
  void descriptors_forThisProcess_areCounted() throws IOException {
    Map<String, String> environment = Map.of("LISTEN_PID", "7", "LISTEN_FDS", "2");

    assertThat(SdActivation.descriptors(environment, 7)).isEqualTo(2);
  }

  @Test
  void descriptors_named_areCountedTheSame() throws IOException {
    Map<String, String> environment =
        Map.of("LISTEN_PID", "7", "LISTEN_FDS", "1", "LISTEN_FDNAMES", "images.socket");

    assertThat(SdActivation.descriptors(environment, 7)).isEqualTo(1);
  }

  @Test
  void descriptors_forAnotherProcessOrNobody_areNone() throws IOException {
    assertThat(SdActivation.descriptors(Map.of("LISTEN_PID", "8", "LISTEN_FDS", "1"), 7)).isZero();
    assertThat(SdActivation.descriptors(Map.of("LISTEN_FDS", "1"), 7)).isZero();
    assertThat(SdActivation.descriptors(Map.of("LISTEN_PID", "7"), 7)).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "x", "-1", "1 ", "999999999999"})
  void descriptors_noNumber_areAClearError(String count) {
    Map<String, String> environment = Map.of("LISTEN_PID", "7", "LISTEN_FDS", count);

    assertThatThrownBy(() -> SdActivation.descriptors(environment, 7))
        .isInstanceOf(IOException.class)
        .hasMessage("LISTEN_FDS is no number: " + count);
  }
}
