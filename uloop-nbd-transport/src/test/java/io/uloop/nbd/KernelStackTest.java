/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A machine made of files: dm-0 on nbd0p1, a loop device over a file on dm-0. */
@Timeout(20)
class KernelStackTest {

  @TempDir Path root;
  private KernelStack stack;

  @BeforeEach
  void makeMachine() throws IOException {
    Path nbd = Files.createDirectories(root.resolve("block/nbd0"));
    Path part = Files.createDirectories(nbd.resolve("nbd0p1"));
    Files.writeString(part.resolve("partition"), "1");
    Path dm = Files.createDirectories(root.resolve("block/dm-0/slaves")).getParent();
    Files.createSymbolicLink(dm.resolve("slaves/nbd0p1"), part);
    Path loop = Files.createDirectories(root.resolve("block/loop3/loop")).getParent();
    Files.writeString(loop.resolve("loop/backing_file"), "/data/my disk.img\n");
    Path vda = Files.createDirectories(root.resolve("block/vda"));
    Path numbers = Files.createDirectories(root.resolve("dev"));
    Files.createSymbolicLink(numbers.resolve("43:1"), part);
    Files.createSymbolicLink(numbers.resolve("253:0"), dm);
    Files.createSymbolicLink(numbers.resolve("7:3"), loop);
    Files.createSymbolicLink(numbers.resolve("254:0"), vda);
    Path table = root.resolve("mountinfo");
    Files.writeString(
        table,
        """
        20 1 254:0 / / rw - ext4 /dev/vda rw
        21 20 253:0 / /data rw - ext4 /dev/mapper/x rw
        22 20 7:3 / /deep rw - ext4 /dev/loop3 rw
        23 20 0:40 / /pool rw - btrfs /dev/nbd0p1 rw
        24 20 0:41 / /data/over rw - tmpfs tmpfs rw
        """);
    stack = new KernelStack(table, numbers);
  }

  @Test
  void devicesUnder_rootFileSystem_isItsDisk() throws Exception {
    assertThat(stack.devicesUnder(Path.of("/tmp/cache"))).containsExactly("vda");
  }

  @Test
  void devicesUnder_mapper_goesDownToTheDisk() throws Exception {
    assertThat(stack.devicesUnder(Path.of("/data/x/../cache")))
        .containsExactly("dm-0", "nbd0p1", "nbd0");
  }

  @Test
  void devicesUnder_loopOverFile_followsTheFile() throws Exception {
    assertThat(stack.devicesUnder(Path.of("/deep/cache"))).contains("loop3", "nbd0");
  }

  @Test
  void devicesUnder_fileSystemWithNumberOfItsOwn_goesByItsSource() throws Exception {
    assertThat(stack.devicesUnder(Path.of("/pool/cache"))).containsExactly("nbd0p1", "nbd0");
  }

  @Test
  void devicesUnder_memory_isNothing() throws Exception {
    assertThat(stack.devicesUnder(Path.of("/data/over/cache"))).isEmpty();
  }

  @Test
  void devicesUnder_theDeviceItself_isNamed() throws Exception {
    assertThat(stack.devicesUnder(Path.of("/dev/nbd7"))).contains("nbd7");
  }

  @Test
  void refuseCacheOnDevice_deviceItselfAsCache_isRefused() {
    assertThatThrownBy(
            () ->
                KernelDevices.refuseCacheOnDevice(
                    "/dev/nbd7", Map.of(), List.of(Path.of("/dev/nbd7"))))
        .hasMessageContaining("/dev/nbd7 lives on /dev/nbd7");
    assertThatCode(
            () ->
                KernelDevices.refuseCacheOnDevice(
                    "unix:/x", Map.of(), List.of(Path.of("/dev/nbd7"))))
        .doesNotThrowAnyException();
  }
}
