/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.DeviceTransport.Attachment;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A loop device over nbdfuse; needs root, /dev/fuse, free loop devices and libnbd-bin. */
@Tag("root")
@Tag("interop")
@Timeout(60)
class LoopTransportTest {

  /** Not a multiple of 512: the last 265 bytes cannot be seen through a block device. */
  private static final int DISK_BYTES = (10 << 20) + 777;

  @TempDir Path directory;
  private Path disk;
  private byte[] content;

  @BeforeEach
  void makeDisk() throws IOException {
    disk = directory.resolve("disk");
    content = new byte[DISK_BYTES];
    new Random(7).nextBytes(content);
    Files.write(disk, content);
  }

  @AfterEach
  void nothingLeft() throws IOException {
    assertThat(
            KernelMounts.read(Path.of("/proc/self/mountinfo")).stream()
                .filter(m -> m.point().startsWith("/run/uloop")))
        .isEmpty();
    if (Files.isDirectory(Path.of("/run/uloop"))) {
      try (DirectoryStream<Path> left = Files.newDirectoryStream(Path.of("/run/uloop"))) {
        assertThat(left).isEmpty();
      }
    }
  }

  @Test
  void attach_nextFree_readsTheDeviceAndLeavesNothing() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment = new KernelTransport().attach(device, "/dev/loop", Map.of())) {
      byte[] read = readAll(attachment.place());

      assertThat(attachment.place()).matches("/dev/loop[0-9]+");
      assertThat(read).isEqualTo(Arrays.copyOf(content, DISK_BYTES / 512 * 512));
      assertThat(sysfs(attachment, "ro")).isEqualTo("1");
      assertThat(sysfs(attachment, "queue/read_ahead_kb")).isEqualTo("1024");
      assertThat(sysfs(attachment, "loop/dio")).isEqualTo("1");
    }
  }

  @Test
  void attach_writable_writesArriveAtDetach() throws Exception {
    byte[] data = new byte[8192];
    Arrays.fill(data, (byte) 0x5a);
    try (KernelTestDevice device = KernelTestDevice.writable(disk)) {
      Attachment attachment = new KernelTransport().attach(device, "/dev/loop", Map.of());
      try (FileChannel channel =
          FileChannel.open(Path.of(attachment.place()), StandardOpenOption.WRITE)) {
        channel.write(ByteBuffer.wrap(data), 4096);
      }
      attachment.close();
      attachment.close();
    }
    assertThat(Arrays.copyOfRange(Files.readAllBytes(disk), 4096, 12288)).isEqualTo(data);
  }

  @Test
  void attach_deviceInUse_namesItsFile() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment first = new KernelTransport().attach(device, "/dev/loop", Map.of())) {
      assertThatThrownBy(() -> new KernelTransport().attach(device, first.place(), Map.of()))
          .isInstanceOf(IOException.class)
          .hasMessageContaining(first.place() + " is in use: /run/uloop/attach-");
    }
  }

  @Test
  void close_openElsewhere_refusesOnceThenForces() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk)) {
      Attachment attachment =
          new KernelTransport().attach(device, "/dev/loop", Map.of("detach-wait", "0"));
      Process holder = holdOpen(attachment.place());

      assertThatThrownBy(attachment::close)
          .hasMessageContaining("is in use and stays attached: process " + holder.pid());
      assertThat(readAll(attachment.place())).hasSize(DISK_BYTES / 512 * 512);
      attachment.close();
      holder.destroyForcibly();
      assertThat(holder.waitFor(10, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  void attach_emptyDevice_isRefused() throws Exception {
    Files.write(disk, new byte[511]);
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk)) {
      assertThatThrownBy(() -> new KernelTransport().attach(device, "/dev/loop", Map.of()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("at least one block");
    }
  }

  /** What stays of a mount when its child is gone answers nobody, and keeps its directory. */
  @Test
  void close_ofAMountInUseOnAnInterruptedThread_leavesNeitherMountNorChild() throws Exception {
    long before = children();
    String socket = directory.resolve("s").toString();
    Path mountPoint = Files.createDirectory(directory.resolve("m"));
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        NbdServer server =
            NbdServer.start(
                NbdServerConfig.builder()
                    .listen("unix:" + socket)
                    .export(new NbdExport("", device))
                    .build())) {
      FuseMount mount =
          FuseMount.start(new KernelUnixLinks(NativeCalls.load(), socket, ""), mountPoint, true, 1);
      Process holder = holdOpen(mount.file().toString());
      try {
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> mount.close(Duration.ofSeconds(30)))
            .isInstanceOf(InterruptedIOException.class);
        assertThat(Thread.interrupted()).isTrue();
        assertThat(holder.isAlive()).isTrue();
      } finally {
        holder.destroyForcibly().waitFor();
      }
      assertThat(KernelMounts.read(Path.of("/proc/self/mountinfo")))
          .noneMatch(m -> m.point().equals(mountPoint.toString()));
    }
    assertThat(children()).isEqualTo(before);
  }

  @Test
  void attach_manyTimes_leavesNoChild() throws Exception {
    long before = children();
    for (int i = 0; i < 10; i++) {
      try (KernelTestDevice device = KernelTestDevice.readOnly(disk)) {
        new KernelTransport().attach(device, "/dev/loop", Map.of()).close();
      }
    }
    assertThat(children()).isEqualTo(before);
  }

  @Test
  void reads_thousandsThatFail_allEndAndTheDeviceGoesOn() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment = new KernelTransport().attach(device, "/dev/loop", Map.of())) {
      device.failing = true;
      Path errors = directory.resolve("errors");
      // Goes on after an error, with the next three sectors: 6827 times.
      ProcessBuilder dd =
          new ProcessBuilder(
              "dd",
              "if=" + attachment.place(),
              "of=/dev/null",
              "bs=1536",
              "iflag=direct",
              "conv=noerror");
      dd.environment().put("LC_ALL", "C");
      Process reader = dd.redirectError(errors.toFile()).start();

      // Each makes nbdfuse say a line, of which a pipe holds about a thousand.
      assertThat(reader.waitFor(30, TimeUnit.SECONDS)).isTrue();
      assertThat(Files.readAllLines(errors))
          .filteredOn(line -> line.endsWith("Input/output error"))
          .hasSizeGreaterThan(5000);
      device.failing = false;
      assertThat(readAll(attachment.place()))
          .isEqualTo(Arrays.copyOf(content, DISK_BYTES / 512 * 512));
    }
  }

  /** What a terminal sends to its process group must not take the device from under its users. */
  @Test
  void nbdfuse_isInASessionOfItsOwn() throws Exception {
    List<ProcessHandle> before = ProcessHandle.current().children().toList();
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment = new KernelTransport().attach(device, "/dev/loop", Map.of())) {
      ProcessHandle nbdfuse =
          ProcessHandle.current().children().filter(c -> !before.contains(c)).findFirst().get();
      String stat = Files.readString(Path.of("/proc/" + nbdfuse.pid() + "/stat"));
      // proc_pid_stat(5): after the name in brackets come state, parent, group and session.
      List<String> fields = List.of(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1));
      assertThat(fields.get(3)).isEqualTo("" + nbdfuse.pid());
      assertThat(attachment.place()).startsWith("/dev/loop");
    }
  }

  @Test
  void await_nbdfuseWasKilled_isAFailureThatSaysSo() throws Exception {
    List<ProcessHandle> before = ProcessHandle.current().children().toList();
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk)) {
      Attachment attachment = new KernelTransport().attach(device, "/dev/loop", Map.of());
      ProcessHandle nbdfuse =
          ProcessHandle.current().children().filter(c -> !before.contains(c)).findFirst().get();
      signal("KILL", nbdfuse.pid());

      assertThatThrownBy(attachment::await)
          .isInstanceOf(IOException.class)
          .hasMessageContaining(attachment.place() + ": detached, but: nbdfuse has ended")
          .hasMessageContaining("(exit 137)");
    }
  }

  @Test
  void attach_afterServerAndNbdfuseWereKilled_goesOn() throws Exception {
    String java = ProcessHandle.current().info().command().orElseThrow();
    Process server =
        new ProcessBuilder(
                java,
                "-cp",
                System.getProperty("java.class.path"),
                Server.class.getName(),
                disk.toString())
            .redirectError(directory.resolve("errors").toFile())
            .start();
    try (BufferedReader said = server.inputReader()) {
      String ready = said.readLine();
      assertThat(ready).startsWith("ready /dev/loop");
      String place = ready.substring("ready ".length());
      List<ProcessHandle> children = server.children().toList();
      assertThat(children).hasSize(1);
      ProcessHandle nbdfuse = children.get(0);
      // Each of them would unmount if it saw the other one go.
      signal("STOP", server.pid());
      signal("KILL", nbdfuse.pid());
      signal("KILL", server.pid());
      assertThat(server.waitFor(10, TimeUnit.SECONDS)).isTrue();
      nbdfuse.onExit().get(10, TimeUnit.SECONDS);

      try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
          Attachment attachment = new KernelTransport().attach(device, place, Map.of())) {
        assertThat(readAll(attachment.place())).hasSize(DISK_BYTES / 512 * 512);
      }
    } finally {
      server.destroyForcibly();
    }
  }

  private static void signal(String name, long pid) throws Exception {
    assertThat(new ProcessBuilder("kill", "-" + name, "" + pid).start().waitFor()).isZero();
  }

  private static Process holdOpen(String path) throws IOException {
    Process holder =
        new ProcessBuilder("sh", "-c", "exec 7<" + path + "; echo; exec sleep 60").start();
    assertThat(holder.getInputStream().read()).isEqualTo('\n');
    return holder;
  }

  private static long children() {
    return ProcessHandle.current().children().filter(ProcessHandle::isAlive).count();
  }

  private static String sysfs(Attachment attachment, String attribute) throws IOException {
    String name = List.of(attachment.place().split("/", -1)).get(2);
    return Files.readString(Path.of("/sys/block", name, attribute)).strip();
  }

  private static byte[] readAll(String path) throws IOException {
    return Files.readAllBytes(Path.of(path));
  }

  /** A process that serves a file as a loop device until it is killed. */
  static final class Server {

    private Server() {}

    public static void main(String[] args) throws Exception {
      try (KernelTestDevice device = KernelTestDevice.readOnly(Path.of(args[0]));
          Attachment attachment = new KernelTransport().attach(device, "/dev/loop", Map.of())) {
        System.out.println("ready " + attachment.place());
        attachment.await();
      }
    }
  }
}
