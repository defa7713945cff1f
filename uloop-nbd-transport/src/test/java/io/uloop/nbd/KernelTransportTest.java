/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.DeviceTransport.Attachment;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The whole way, from a device of ours to /dev/nbdN. Runs in the guest of .ci/guest-tests. */
@Tag("kernel")
@Timeout(90)
class KernelTransportTest {

  private static final int DISK_BYTES = 16 << 20;
  private static final FileAttribute<?> OWNER_ONLY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
  private static final Executor AT_ONCE = ForkJoinPool.commonPool();

  private final KernelTransport transport = new KernelTransport();
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
    Path run = Files.createDirectories(Path.of("/run/uloop"), OWNER_ONLY);
    try (DirectoryStream<Path> left = Files.newDirectoryStream(run)) {
      assertThat(left).isEmpty();
    }
  }

  @Test
  void attach_named_isServedUntilClosed() throws Exception {
    NativeCalls calls = NativeCalls.load();
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk)) {
      Attachment attachment =
          transport.attach(device, "/dev/nbd4", Map.of("identifier", "uloop a"));

      assertThat(read("/dev/nbd4", 4096, 4096)).isEqualTo(ByteBuffer.wrap(content, 4096, 4096));
      assertThat(KernelRuntime.isServed(calls, "nbd4")).isTrue();
      assertThat(KernelDevices.list())
          .containsExactly(
              new KernelDevices.Attached(
                  "/dev/nbd4",
                  DISK_BYTES,
                  "uloop a",
                  true,
                  "" + ProcessHandle.current().pid(),
                  List.of()));
      attachment.close();
      assertThat(KernelRuntime.isServed(calls, "nbd4")).isFalse();
    }
  }

  @Test
  void detach_ofServedDevice_endsItsAttachment() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk)) {
      Attachment attachment = transport.attach(device, "/dev/nbd6", Map.of());
      CompletableFuture<Void> ended =
          CompletableFuture.runAsync(
              () -> {
                try {
                  attachment.await();
                } catch (IOException | InterruptedException e) {
                  throw new IllegalStateException(e);
                }
              });

      KernelDevices.detach("/dev/nbd6", false);

      ended.get(30, TimeUnit.SECONDS);
      assertThatThrownBy(() -> KernelDevices.detach("/dev/nbd6", false))
          .hasMessageContaining("/dev/nbd6 is not attached");
    }
  }

  @Test
  void attach_byIoctl_servesAndEnds() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment =
            transport.attach(device, "/dev/nbd", Map.of("interface", "ioctl"))) {
      assertThat(read(attachment.place(), 8192, 512))
          .isEqualTo(ByteBuffer.wrap(content, 8192, 512));
    }
  }

  @Test
  void attach_partitionedDisk_showsPartitions() throws Exception {
    // A master boot record: two entries of 16 bytes, with first sector and length at 8 and 12.
    ByteBuffer record = ByteBuffer.wrap(content, 0, 512).order(ByteOrder.LITTLE_ENDIAN);
    record.put(446, new byte[64]);
    record.put(446 + 4, (byte) 0x83).putInt(446 + 8, 2048).putInt(446 + 12, 4096);
    record.put(462 + 4, (byte) 0x83).putInt(462 + 8, 8192).putInt(462 + 12, 4096);
    record.putShort(510, (short) 0xaa55);
    Files.write(disk, content);
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment = transport.attach(device, "/dev/nbd5", Map.of())) {
      assertThat(attachment.place()).isEqualTo("/dev/nbd5");
      assertThat(Path.of("/sys/block/nbd5/nbd5p2")).exists();
      assertThat(read("/dev/nbd5p2", 0, 512)).isEqualTo(read("/dev/nbd5", 8192 * 512, 512));
    }
  }

  @Test
  void reply_laterThanTimeout_linkIsReplacedAndRequestSentAgain() throws Exception {
    Map<String, String> properties = Map.of("timeout", "2", "connections", "1");
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment = transport.attach(device, "/dev/nbd0", properties)) {
      ConcurrentLinkedQueue<Runnable> never = new ConcurrentLinkedQueue<>();
      device.executor = never::add;
      CompletableFuture<ByteBuffer> read =
          CompletableFuture.supplyAsync(() -> readUnchecked("/dev/nbd0", 1 << 20, 512));

      // The same request comes a second time: on a new link, as the old one is given up.
      assertThat(KernelPoll.until(Duration.ofSeconds(30), () -> !never.isEmpty())).isTrue();
      int first = never.size();
      assertThat(KernelPoll.until(Duration.ofSeconds(30), () -> never.size() > first)).isTrue();
      assertThat(read).isNotDone();
      device.executor = AT_ONCE;
      never.forEach(Runnable::run);

      assertThat(read.get(30, TimeUnit.SECONDS)).isEqualTo(ByteBuffer.wrap(content, 1 << 20, 512));
    }
  }

  @Test
  void failure_beforeTimeout_isAnErrorAndLinksStay() throws Exception {
    try (KernelTestDevice device = KernelTestDevice.readOnly(disk);
        Attachment attachment = transport.attach(device, "/dev/nbd0", Map.of())) {
      device.failing = true;
      assertThatThrownBy(() -> read("/dev/nbd0", 2 << 20, 512)).isInstanceOf(IOException.class);
      device.failing = false;

      assertThat(read(attachment.place(), 2 << 20, 512))
          .isEqualTo(ByteBuffer.wrap(content, 2 << 20, 512));
    }
  }

  @Test
  void fio_writesAndVerifies() throws Exception {
    Map<String, String> properties = Map.of("identifier", "uloop fio");
    try (KernelTestDevice device = KernelTestDevice.writable(disk);
        Attachment attachment = transport.attach(device, "/dev/nbd0", properties)) {
      Process fio =
          new ProcessBuilder(
                  "fio",
                  "--name=verify",
                  "--filename=" + attachment.place(),
                  "--rw=randwrite",
                  "--bs=4k",
                  "--size=2m",
                  "--direct=1",
                  "--ioengine=psync",
                  "--numjobs=1",
                  "--verify=crc32c",
                  "--do_verify=1",
                  "--verify_fatal=1",
                  "--output-format=terse")
              .redirectErrorStream(true)
              .redirectOutput(directory.resolve("fio.log").toFile())
              .start();
      assertThat(fio.waitFor())
          .withFailMessage(() -> "fio: " + logUnchecked(directory.resolve("fio.log")))
          .isZero();
    }
  }

  @Test
  void flusher_threadsItStarts_areFlushersAndTheCallerIsNot() throws Exception {
    NativeCalls calls = NativeCalls.load();

    CompletableFuture<Boolean> grandchild = new CompletableFuture<>();
    KernelMemory.onFlusherThread(
        calls,
        () -> {
          new Thread(
                  () -> {
                    try {
                      grandchild.complete(KernelMemory.isFlusher(calls));
                    } catch (IOException e) {
                      grandchild.completeExceptionally(e);
                    }
                  })
              .start();
          return 0;
        });

    assertThat(grandchild.get(10, TimeUnit.SECONDS)).isTrue();
    assertThat(KernelMemory.isFlusher(calls)).isFalse();
  }

  private static String logUnchecked(Path log) {
    try {
      return Files.readString(log);
    } catch (IOException e) {
      return e.toString();
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
}
