/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.InteropTools.need;
import static io.uloop.nbd.InteropTools.run;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.nbd.InteropTools.Running;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Clients that pass the export on: as a file (nbdfuse), or over NBD again (qemu-nbd,
 * qemu-storage-daemon). A client of theirs must see and change what is here.
 */
@Tag("interop")
@Timeout(120)
class ReexportIT {

  private static final int SIZE = 16 << 20;

  @TempDir Path folder;
  private MemoryDevice device;
  private NbdServer server;

  @BeforeEach
  void serve() throws IOException {
    device =
        new MemoryDevice(SIZE)
            .hole(4 << 20, 6 << 20)
            .absent(8 << 20, 12 << 20)
            .missesOn(Executors.newSingleThreadExecutor());
    NbdServerConfig.Builder config = NbdServerConfig.builder().listen("unix:" + folder + "/s");
    server = NbdServer.start(config.export(new NbdExport("disk", device, "")).build());
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  private String uri(String export, String socket) {
    return "nbd+unix:///" + export + "?socket=" + folder + "/" + socket;
  }

  @Test
  void nbdfuse_file_isReadWrittenAndUnmounted() throws Exception {
    need("nbdfuse", "fusermount3");
    Path mount = Files.createDirectory(folder.resolve("m"));
    Path ready = folder.resolve("pid");
    String file = mount + "/disk.img";
    try (Running fuse = new Running("nbdfuse", "-P", ready.toString(), file, uri("disk", "s"))) {
      fuse.untilThere(ready);
      Path seen = Path.of(InteropTools.CHROOT + file);
      assertThat(Files.size(seen)).isEqualTo(SIZE);
      ServerFixture.assertSame(Files.readAllBytes(seen), device.content);

      try (FileChannel channel = FileChannel.open(seen, StandardOpenOption.WRITE)) {
        channel.write(ByteBuffer.wrap(new byte[5000]), 12_345);
        channel.force(false);
      }
      assertThat(device.slice(12_345, 5000)).isEqualTo(new byte[5000]);
      assertThat(device.flushes.get()).isPositive();

      run("fusermount3", "-u", mount.toString());
      fuse.ended();
    }
    ServerFixture.await("nbdfuse is gone", () -> server.connections() == 0);
    assertThat(Files.list(mount)).isEmpty();
  }

  @Test
  void qemuNbd_secondClient_seesAndChangesTheSame() throws Exception {
    need("qemu-nbd", "nbdcopy", "nbdinfo", "nbdsh");
    try (Running qemu =
        new Running(
            "qemu-nbd", "-t", "-e", "4", "-f", "raw", "-k", folder + "/q", uri("disk", "s"))) {
      assertPassesOn(qemu, uri("", "q"));
    }
  }

  @Test
  void qemuNbd_imageOptions_seesAndChangesTheSame() throws Exception {
    need("qemu-nbd", "nbdcopy", "nbdinfo", "nbdsh");
    String image = "driver=nbd,server.type=unix,server.path=" + folder + "/s,export=disk";
    try (Running qemu =
        new Running("qemu-nbd", "-t", "-e", "4", "-k", folder + "/q", "--image-opts", image)) {
      assertPassesOn(qemu, uri("", "q"));
    }
  }

  @Test
  void qemuStorageDaemon_secondClient_seesAndChangesTheSame() throws Exception {
    need("qemu-storage-daemon", "nbdcopy", "nbdinfo", "nbdsh");
    try (Running qemu =
        new Running(
            "qemu-storage-daemon",
            "--blockdev",
            "driver=nbd,node-name=n,server.type=unix,server.path=" + folder + "/s,export=disk",
            "--nbd-server",
            "addr.type=unix,addr.path=" + folder + "/q",
            "--export",
            "type=nbd,id=e,node-name=n,name=again,writable=on")) {
      assertPassesOn(qemu, uri("again", "q"));
    }
  }

  private void assertPassesOn(Running qemu, String uri) throws Exception {
    qemu.untilThere(folder.resolve("q"));
    Path copy = folder.resolve("copy");
    run("nbdcopy", "--connections=4", uri, copy.toString());
    ServerFixture.assertSame(Files.readAllBytes(copy), device.content);
    assertThat(run("nbdinfo", "--map", uri).lines().map(l -> l.trim().replaceAll(" +", " ")))
        .contains("4194304 2097152 3 hole,zero");

    InteropTools.nbdsh(
        uri, "h.connect_uri(URI)", "h.pwrite(b'W'*9000, 4096)", "h.zero(4096, 65536)", "h.flush()");
    byte[] written = new byte[9000];
    Arrays.fill(written, (byte) 'W');
    assertThat(device.slice(4096, 9000)).isEqualTo(written);
    assertThat(device.slice(65_536, 4096)).isEqualTo(new byte[4096]);
    assertThat(device.flushes.get()).isPositive();

    qemu.terminate();
    qemu.ended();
    ServerFixture.await("qemu is gone", () -> server.connections() == 0);
  }
}
