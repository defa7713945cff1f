/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.Validator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Reads made-up trees of the kernel's layout. */
class SysfsTest {

  private static final long SDA = 8 << 8;
  private static final long SDA1 = SDA | 1;

  @TempDir Path root;
  private Path sda;
  private Sysfs sysfs;

  @BeforeEach
  void plantDisk() throws IOException {
    sda = Files.createDirectories(root.resolve("devices/pci0/ata1/block/sda"));
    Files.createDirectories(root.resolve("dev/block"));
    Files.createSymbolicLink(root.resolve("dev/block/8:0"), sda);
    Path sda1 = Files.createDirectories(sda.resolve("sda1"));
    Files.createSymbolicLink(root.resolve("dev/block/8:1"), sda1);
    file(sda, "sda1/partition", "1\n");
    file(sda, "sda1/start", "2048\n");
    sysfs = new Sysfs(root);
  }

  private static void file(Path directory, String name, String text) throws IOException {
    Path file = directory.resolve(name);
    Files.createDirectories(file.getParent());
    Files.writeString(file, text);
  }

  @Test
  void rotational_diskAndItsPartition_areAsTheQueueSays() throws Exception {
    file(sda, "queue/rotational", "1\n");

    assertThat(sysfs.rotational(SDA)).isTrue();
    assertThat(sysfs.rotational(SDA1)).isTrue();
  }

  @Test
  void rotational_notKnown_isFalse() {
    assertThat(sysfs.rotational(SDA)).isFalse();
    assertThat(sysfs.rotational(42)).isFalse();
  }

  @Test
  void validator_serial_isOneLine() throws Exception {
    file(sda, "device/serial", "  WD-WX   1234\n");

    assertThat(sysfs.validator(SDA)).isEqualTo(new Validator(Validator.Kind.SERIAL, "WD-WX 1234"));
  }

  @Test
  void validator_partition_addsNumberAndStart() throws Exception {
    file(sda, "wwid", "naa.5000\n");

    assertThat(sysfs.validator(SDA1))
        .isEqualTo(new Validator(Validator.Kind.SERIAL, "naa.5000 partition 1 at 2048"));
  }

  @Test
  void validator_loop_isWhatStandsBehindIt() throws Exception {
    file(sda, "loop/backing_file", "/srv/a.img\n");

    assertThat(sysfs.validator(SDA))
        .isEqualTo(new Validator(Validator.Kind.OTHER, "loop over /srv/a.img"));
  }

  @Test
  void validator_nothingKnown_isTheNumber() {
    assertThat(sysfs.validator(SDA)).isEqualTo(new Validator(Validator.Kind.OTHER, "8:0"));
  }

  // makedev(3): major 0x12345, minor 0x6789a, as glibc's gnu_dev_makedev puts them together.
  @Test
  void majorAndMinor_largeNumbers_areTakenApart() {
    long device = 0x0001_2000_6783_459aL;

    assertThat(Sysfs.major(device)).isEqualTo(0x12345);
    assertThat(Sysfs.minor(device)).isEqualTo(0x6789a);
  }
}
