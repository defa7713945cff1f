/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class KernelSettingsTest {

  @Test
  void of_nothing_waitsLongerThanAFetch() {
    KernelSettings settings = KernelSettings.of(Map.of(), false);

    assertThat(settings.timeouts().request()).hasSeconds(40);
    assertThat(settings.timeouts().deadConnection()).hasSeconds(60);
    assertThat(settings.identifier()).isEmpty();
    assertThat(settings.connections()).isEqualTo(4);
    assertThat(KernelSettings.of(Map.of(), true).timeouts().request()).hasSeconds(120);
  }

  @ParameterizedTest
  @CsvSource({
    "connections,0",
    "connections,x",
    "timeout,0",
    "dead-timeout,-1",
    "block-size,1000",
    "block-size,8192",
    "partition-scan,yes",
    "interface,usb",
    "conections,4"
  })
  void of_badProperty_namesIt(String name, String value) {
    assertThatThrownBy(() -> KernelSettings.of(Map.of(name, value), false))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(name);
  }

  @Test
  void mounts_pointWithBlankAndOptionalFields_areRead(@TempDir Path directory) throws Exception {
    Path table = directory.resolve("mountinfo");
    Files.writeString(
        table,
        "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/nbd0p1 rw\n"
            + "37 35 0:5 / /proc rw - proc proc rw\n");

    assertThat(KernelMounts.read(table))
        .containsExactly(
            new KernelMounts.Mount("98:0", "/mnt 2", "ext3", "/dev/nbd0p1"),
            new KernelMounts.Mount("0:5", "/proc", "proc", "proc"));
  }
}
