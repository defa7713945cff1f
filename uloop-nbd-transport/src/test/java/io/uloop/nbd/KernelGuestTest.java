/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The kernel's own behaviour, with nbdkit as the server. Runs in the guest of .ci/guest-tests. */
@Tag("kernel")
@Timeout(90)
class KernelGuestTest {

  private static final int DISK_BYTES = 16 << 20;

  @TempDir Path directory;
  private NativeCalls calls;
  private int descriptors;

  @BeforeAll
  static void loadDriver() throws Exception {
    assertThat(new ProcessBuilder("modprobe", "nbd").start().waitFor()).isZero();
    // The JDK opens a socket for good at the first close of a channel.
    FileChannel.open(Path.of("/dev/null")).close();
  }

  @BeforeEach
  void count() throws IOException {
    calls = NativeCalls.load();
    descriptors = openDescriptors();
  }

  @AfterEach
  void nothingLeft() throws IOException {
    Map<Integer, Boolean> left = configured();
    try (NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
      for (int index : left.keySet()) {
        nbd.disconnect(index);
      }
    }
    assertThat(left).as("devices left behind").isEmpty();
    assertThat(openDescriptors()).as("descriptors left behind").isEqualTo(descriptors);
  }

  @Test
  void connect_oneLink_readsWhatTheServerHas() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment = attach(server, OptionalInt.of(3), Map.of("connections", "1"));

      assertThat(attachment.place()).isEqualTo("/dev/nbd3");
      assertThat(read("/dev/nbd3", 4096, 8).getLong()).isEqualTo(4096);
      assertThat(device(3).sizeBytes()).isEqualTo(DISK_BYTES);
      assertThat(device(3).readOnly()).isTrue();
      assertThat(device(3).hardwareQueues()).hasValue(1);
      attachment.close();
    }
  }

  @Test
  void connect_fourLinksAndNextFreeDevice_setsQueueUp() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment = attach(server, OptionalInt.empty(), Map.of());

      KernelDevice device =
          new KernelDevice(calls, Path.of(attachment.place()).getFileName().toString());
      assertThat(device.hardwareQueues())
          .hasValue(Math.min(4, Runtime.getRuntime().availableProcessors()));
      assertThat(device.attribute("queue/max_sectors_kb")).hasValue("1024");
      assertThat(device.attribute("queue/read_ahead_kb")).hasValue("1024");
      assertThat(device.attribute("queue/scheduler").orElse("")).contains("[none]");
      assertThat(read(attachment.place(), 8 << 20, 8).getLong()).isEqualTo(8 << 20);
      attachment.close();
      attachment.close();
    }
  }

  @Test
  void connect_byIoctl_servesUntilClosed() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment =
          attach(server, OptionalInt.empty(), Map.of("interface", "ioctl", "connections", "2"));

      assertThat(read(attachment.place(), 1 << 20, 8).getLong()).isEqualTo(1 << 20);
      attachment.close();
    }
  }

  @Test
  void connect_deviceInUse_namesItAndLeavesNothing() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment first = attach(server, OptionalInt.of(0), Map.of("identifier", "first"));

      assertThatThrownBy(() -> attach(server, OptionalInt.of(0), Map.of("identifier", "second")))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("/dev/nbd0 is in use")
          .hasMessageContaining("identifier 'first'");
      assertThatThrownBy(() -> attach(server, OptionalInt.of(0), Map.of("interface", "ioctl")))
          .hasMessageContaining("/dev/nbd0 is in use");
      first.close();
    }
  }

  @Test
  void connect_netlinkSocketThatMadeTheDevice_staysOpenAsLongAsIt() throws Exception {
    int before = netlinkSockets();
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment = attach(server, OptionalInt.empty(), Map.of());
      // One made the device, one hears of dead links.
      assertThat(netlinkSockets()).isEqualTo(before + 2);
      attachment.close();
    }
    assertThat(netlinkSockets()).isEqualTo(before);
  }

  @Test
  void reconfigure_oneOfTwoLinksDead_takesOneSocketAndNoMore() throws Exception {
    Map<String, String> properties = Map.of("connections", "2", "identifier", "two");
    KernelSettings settings = KernelSettings.of(properties, false);
    Path other = Files.createDirectory(directory.resolve("other"));
    try (KernelNbdkit dying = new KernelNbdkit(other, "pattern", "16M");
        KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M");
        NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow();
        KernelLinks.Link one = new KernelUnixLinks(calls, dying.socket(), "").connect();
        KernelLinks.Link two = new KernelUnixLinks(calls, server.socket(), "").connect();
        KernelLinks.Link three = new KernelUnixLinks(calls, server.socket(), "").connect();
        KernelLinks.Link four = new KernelUnixLinks(calls, server.socket(), "").connect()) {
      int index =
          nbd.connect(
              OptionalInt.empty(),
              NetlinkTakeover.configuration(one.export(), settings),
              List.of(one.socket().number(), two.socket().number()));
      Duration mark = settings.timeouts().request();
      nbd.reconfigure(
          index, settings.identifier(), settings.timeouts(), List.of(three.socket().number()));
      assertThat(three.socket().sendTimeout()).as("both alive: none taken").isNotEqualTo(mark);

      dying.kill();
      for (KernelLinks.Link link : List.of(three, four)) {
        boolean wanted = link == three;
        boolean taken =
            KernelPoll.until(
                Duration.ofSeconds(wanted ? 10 : 1),
                () -> {
                  nbd.reconfigure(
                      index,
                      settings.identifier(),
                      settings.timeouts(),
                      List.of(link.socket().number()));
                  return link.socket().sendTimeout().equals(mark);
                });
        assertThat(taken).as("one dead: the first is taken, no other").isEqualTo(wanted);
      }
      nbd.disconnect(index);
      assertThat(KernelPoll.until(Duration.ofSeconds(10), () -> configured().isEmpty())).isTrue();
    }
  }

  @Test
  void status_afterServerDied_stillSaysConfigured() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M");
        NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
      KernelAttachment attachment =
          attach(server, OptionalInt.of(1), Map.of("dead-timeout", "1", "connections", "1"));
      server.kill();

      assertThat(nbd.status()).containsEntry(1, true).containsEntry(2, false);
      attachment.close();
      assertThat(nbd.status()).containsEntry(1, false);
    }
  }

  @Test
  void disconnect_nothingConfigured_isNoError() throws Exception {
    try (NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
      nbd.disconnect(5);
      assertThatThrownBy(() -> nbd.disconnect(4000))
          .isInstanceOfSatisfying(
              NativeException.class, e -> assertThat(e.errno()).isEqualTo(NativeException.EINVAL));
    }
  }

  @Test
  void link_diesAndServerComesBack_readsGoOn() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment = attach(server, OptionalInt.empty(), Map.of("timeout", "5"));
      server.kill();
      CompletableFuture<ByteBuffer> read =
          CompletableFuture.supplyAsync(() -> readUnchecked(attachment.place(), 2 << 20, 8));
      server.start();

      assertThat(read.get(60, TimeUnit.SECONDS).getLong()).isEqualTo(2 << 20);
      attachment.close();
    }
  }

  @Test
  void deadTimeout_zero_failsAtOnce() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment =
          attach(server, OptionalInt.empty(), Map.of("dead-timeout", "0"));
      server.kill();
      long start = System.nanoTime();

      assertThatThrownBy(() -> read(attachment.place(), 3 << 20, 8))
          .isInstanceOf(IOException.class);
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
      attachment.close();
    }
  }

  @Test
  void deadTimeout_runsOut_failsThenServesAgain() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment =
          attach(server, OptionalInt.empty(), Map.of("dead-timeout", "2"));
      server.kill();
      assertThatThrownBy(() -> read(attachment.place(), 4 << 20, 8))
          .isInstanceOf(IOException.class);

      server.start();
      assertThat(
              KernelPoll.until(
                  Duration.ofSeconds(30),
                  () -> {
                    try {
                      return read(attachment.place(), 5 << 20, 8).getLong() == 5 << 20;
                    } catch (IOException e) {
                      return false;
                    }
                  }))
          .isTrue();
      attachment.close();
    }
  }

  @Test
  void takeover_sameIdentifier_continuesTheDevice() throws Exception {
    Map<String, String> properties =
        Map.of("identifier", "uloop takeover", "timeout", "3", "connections", "2");
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      int index = connectAndForget(server, properties);
      server.kill();
      CompletableFuture<ByteBuffer> read =
          CompletableFuture.supplyAsync(() -> readUnchecked("/dev/nbd" + index, 6 << 20, 8));
      server.start();

      KernelAttachment second = attach(server, OptionalInt.empty(), properties);

      assertThat(second.place()).isEqualTo("/dev/nbd" + index);
      assertThat(read.get(60, TimeUnit.SECONDS).getLong()).isEqualTo(6 << 20);
      second.close();
    }
  }

  /** What it leaves open would be found by what comes after each test. */
  @Test
  void takeover_failsAfterItsFirstLink_leavesNothingAndCanBeTriedAgain() throws Exception {
    Map<String, String> properties =
        Map.of("identifier", "uloop again", "timeout", "3", "connections", "2");
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      int index = connectAndForget(server, properties);
      server.kill();
      server.start();
      KernelLinks links = new KernelUnixLinks(calls, server.socket(), "");
      AtomicInteger connects = new AtomicInteger();
      KernelLinks failing =
          () -> {
            if (connects.incrementAndGet() == 3) { // one looks, one is the first, one the second
              throw new IOException("no more links");
            }
            return links.connect();
          };
      assertThatThrownBy(
              () ->
                  NetlinkBinding.attach(
                      calls, OptionalInt.empty(), failing, KernelSettings.of(properties, false)))
          .hasMessage("no more links");
      assertThat(openDescriptors()).isEqualTo(descriptors);

      KernelAttachment second = attach(server, OptionalInt.empty(), properties);

      assertThat(second.place()).isEqualTo("/dev/nbd" + index);
      assertThat(readUnchecked(second.place(), 6 << 20, 8).getLong()).isEqualTo(6 << 20);
      second.close();
    }
  }

  @Test
  void takeover_otherSize_isRefusedAndDeviceStays() throws Exception {
    Map<String, String> properties = Map.of("identifier", "uloop size", "connections", "1");
    int index;
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      index = connectAndForget(server, properties);
    }
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "8M");
        NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
      assertThatThrownBy(() -> attach(server, OptionalInt.empty(), properties))
          .hasMessageContaining("cannot be taken over")
          .hasMessageContaining("" + DISK_BYTES);
      assertThat(nbd.status()).containsEntry(index, true);
      nbd.disconnect(index);
    }
  }

  @Test
  void takeover_livingLinks_isRefused() throws Exception {
    Map<String, String> properties = Map.of("identifier", "uloop alive", "connections", "1");
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment first = attach(server, OptionalInt.empty(), properties);

      assertThatThrownBy(() -> attach(server, OptionalInt.empty(), properties))
          .hasMessageContaining("has living links");
      first.close();
    }
  }

  @Test
  void reconfigure_otherIdentifier_isRefusedByTheKernel() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M");
        NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
      KernelAttachment attachment =
          attach(server, OptionalInt.of(2), Map.of("identifier", "a", "connections", "1"));
      KernelSettings other = KernelSettings.of(Map.of("identifier", "b"), false);
      try (KernelLinks.Link link = new KernelUnixLinks(calls, server.socket(), "").connect()) {
        assertThatThrownBy(
                () ->
                    nbd.reconfigure(
                        2, other.identifier(), other.timeouts(), List.of(link.socket().number())))
            .isInstanceOf(NativeException.class);
      }
      attachment.close();
    }
  }

  @Test
  void close_deviceOpenElsewhere_refusesNamesThenForces() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment = attach(server, OptionalInt.of(6), Map.of("detach-wait", "0"));
      Process holder =
          new ProcessBuilder("sh", "-c", "exec 7</dev/nbd6; echo; exec sleep 60").start();
      try (InputStream ready = holder.getInputStream()) {
        assertThat(ready.read()).isEqualTo('\n');
        assertThatThrownBy(attachment::close)
            .hasMessageContaining("/dev/nbd6 is in use and stays attached")
            .hasMessageContaining("process " + holder.pid());
        assertThat(read("/dev/nbd6", 1 << 20, 8).getLong()).isEqualTo(1 << 20);
        attachment.close();
      } finally {
        holder.destroyForcibly().waitFor();
      }
      assertThat(KernelPoll.until(Duration.ofSeconds(10), () -> configured().isEmpty())).isTrue();
    }
  }

  @Test
  void await_detachedFromOutside_returns() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      KernelAttachment attachment = attach(server, OptionalInt.of(7), Map.of());
      CompletableFuture<Void> ended =
          CompletableFuture.runAsync(
              () -> {
                try {
                  attachment.await();
                } catch (IOException | InterruptedException e) {
                  throw new IllegalStateException(e);
                }
              });
      try (NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
        nbd.disconnect(7);
      }

      ended.get(30, TimeUnit.SECONDS);
    }
  }

  @Test
  void close_afterWriteBackFailed_saysSo() throws Exception {
    try (KernelNbdkit server =
        new KernelNbdkit(
            directory,
            "--filter=error",
            "memory",
            "16M",
            "error-pwrite=EIO",
            "error-pwrite-rate=100%")) {
      KernelAttachment attachment = attach(server, OptionalInt.of(8), Map.of());
      try (FileChannel channel = FileChannel.open(Path.of("/dev/nbd8"), StandardOpenOption.WRITE)) {
        channel.write(ByteBuffer.allocate(4096), 0);
      }
      // The last close has written back; the error is gone for whoever opens from now on.
      new ProcessBuilder("sync").start().waitFor();

      assertThatThrownBy(attachment::close).hasMessageContaining("detached, but: fsync");
    }
  }

  @Test
  void write_toWritableServer_reachesItAtDetach() throws Exception {
    Path disk = directory.resolve("disk");
    Files.write(disk, new byte[DISK_BYTES]);
    byte[] data = new byte[4096];
    Arrays.fill(data, (byte) 0x5a);
    try (KernelNbdkit server = new KernelNbdkit(directory, "file", disk.toString())) {
      KernelAttachment attachment = attach(server, OptionalInt.of(9), Map.of());
      try (FileChannel channel = FileChannel.open(Path.of("/dev/nbd9"), StandardOpenOption.WRITE)) {
        channel.write(ByteBuffer.wrap(data), 8192);
      }
      attachment.close();
    }
    assertThat(Arrays.copyOfRange(Files.readAllBytes(disk), 8192, 12288)).isEqualTo(data);
  }

  @Test
  void attachAndDetach_fiftyTimes_leaksNothing() throws Exception {
    try (KernelNbdkit server = new KernelNbdkit(directory, "pattern", "16M")) {
      for (int round = 0; round < 50; round++) {
        KernelAttachment attachment = attach(server, OptionalInt.empty(), Map.of());
        assertThat(attachment.place()).isEqualTo("/dev/nbd0");
        attachment.close();
      }
      assertThat(openDescriptors()).isEqualTo(descriptors);
    }
  }

  /** What a launcher that was killed leaves: the device, and nothing of ours. */
  private int connectAndForget(KernelNbdkit server, Map<String, String> properties)
      throws IOException {
    KernelSettings settings = KernelSettings.of(properties, false);
    try (NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow();
        KernelLinks.Link one = new KernelUnixLinks(calls, server.socket(), "").connect();
        KernelLinks.Link two = new KernelUnixLinks(calls, server.socket(), "").connect()) {
      List<Integer> fds =
          List.of(one.socket().number(), two.socket().number()).subList(0, settings.connections());
      return nbd.connect(
          OptionalInt.empty(), NetlinkTakeover.configuration(one.export(), settings), fds);
    }
  }

  private KernelAttachment attach(
      KernelNbdkit server, OptionalInt index, Map<String, String> properties) throws IOException {
    KernelSettings settings = KernelSettings.of(properties, false);
    KernelLinks links = new KernelUnixLinks(calls, server.socket(), "");
    KernelBinding binding =
        settings.useIoctl()
            ? KernelIoctlBinding.attach(calls, index, links, settings)
            : NetlinkBinding.attach(calls, index, links, settings).orElseThrow();
    return KernelAttachment.of(binding, settings, () -> {});
  }

  private KernelDevice device(int index) {
    return new KernelDevice(calls, "nbd" + index);
  }

  /** Counts the netlink sockets that this process has open. */
  private static int netlinkSockets() throws IOException {
    List<String> ours = new ArrayList<>();
    try (DirectoryStream<Path> fds = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path fd : fds) {
        String target = Files.isSymbolicLink(fd) ? Files.readSymbolicLink(fd).toString() : "";
        if (target.startsWith("socket:[")) {
          ours.add(target.substring("socket:[".length(), target.length() - 1));
        }
      }
    }
    // The inode is the last word of a line.
    return (int)
        Files.readAllLines(Path.of("/proc/self/net/netlink")).stream()
            .map(line -> line.strip().replaceFirst(".* ", ""))
            .filter(ours::contains)
            .count();
  }

  private Map<Integer, Boolean> configured() throws IOException {
    try (NetlinkNbd nbd = NetlinkNbd.open(calls).orElseThrow()) {
      Map<Integer, Boolean> status = new HashMap<>(nbd.status());
      status.values().removeIf(connected -> !connected);
      return status;
    }
  }

  private static ByteBuffer readUnchecked(String path, long offset, int length) {
    try {
      return read(path, offset, length);
    } catch (IOException e) {
      throw new IllegalStateException(e);
    }
  }

  private static ByteBuffer read(String path, long offset, int length) throws IOException {
    try (FileChannel channel = FileChannel.open(Path.of(path))) {
      ByteBuffer bytes = ByteBuffer.allocate(length);
      while (bytes.hasRemaining()) {
        if (channel.read(bytes, offset + bytes.position()) < 0) {
          throw new IOException("end of " + path);
        }
      }
      return bytes.flip();
    }
  }

  /** Counts our sockets and block devices; the JVM opens files of its own as it goes. */
  private static int openDescriptors() throws IOException {
    int count = 0;
    try (DirectoryStream<Path> fds = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path fd : fds) {
        String target = Files.isSymbolicLink(fd) ? Files.readSymbolicLink(fd).toString() : "";
        count += target.startsWith("socket:") || target.startsWith("/dev/nbd") ? 1 : 0;
      }
    }
    return count;
  }
}
