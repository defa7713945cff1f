/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.bytes;
import static io.uloop.nbd.NbdTestClient.infoData;
import static io.uloop.nbd.NbdTestClient.metaData;
import static io.uloop.nbd.NbdTestClient.optionBytes;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Clients that go away, at any byte and in any state, leave nothing behind. */
class VanishTest {

  private static final int SIZE = 2 << 20;

  /** A whole session, with every command, as one run of bytes. */
  private static byte[] session() throws IOException {
    NbdTestClient writer = new NbdTestClient(null);
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    all.writeBytes(bytes(3));
    all.writeBytes(optionBytes(3, new byte[0]));
    all.writeBytes(optionBytes(11, new byte[0]));
    all.writeBytes(optionBytes(10, metaData("disk", "base:allocation", "x-uloop:cached")));
    all.writeBytes(optionBytes(6, infoData("disk", 0, 1, 2, 3)));
    all.writeBytes(optionBytes(7, infoData("disk", 3)));
    writer.mode = NbdTestClient.EXTENDED;
    byte[] none = {};
    all.writeBytes(writer.requestBytes(0, 0, 1, 0, 100, none));
    all.writeBytes(writer.requestBytes(0, 0, 2, 0, 300_000, none));
    all.writeBytes(writer.requestBytes(0, 0, 3, 1 << 20, 4096, none));
    all.writeBytes(writer.requestBytes(33, 1, 4, 0, 200, new byte[200]));
    all.writeBytes(writer.requestBytes(0, 3, 5, 0, 0, none));
    all.writeBytes(writer.requestBytes(0, 4, 6, 0, 4096, none));
    all.writeBytes(writer.requestBytes(0, 5, 7, 0, 4096, none));
    all.writeBytes(writer.requestBytes(0, 6, 8, 0, 4096, none));
    all.writeBytes(writer.requestBytes(0, 7, 9, 0, SIZE, none));
    all.writeBytes(writer.requestBytes(32, 7, 10, 0, 12, bytes(4096L, 1)));
    all.writeBytes(writer.requestBytes(0, 2, 11, 0, 0, none));
    return all.toByteArray();
  }

  private static long descriptors() throws IOException {
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      return open.count();
    }
  }

  private static void settled(ServerFixture fixture) {
    ServerFixture.await(
        "all is given back",
        () -> fixture.server.connections() == 0 && fixture.server.heldBytes() == 0);
  }

  @Test
  @Timeout(60)
  void client_vanishingAfterEachByte_leavesNothing() throws IOException {
    byte[] all = session();
    ExecutorService late = Executors.newSingleThreadExecutor();
    MemoryDevice device = new MemoryDevice(SIZE).absent(1 << 20, SIZE).missesOn(late);
    try (ServerFixture fixture = new ServerFixture(device)) {
      fixture.go(0).close();
      settled(fixture);
      long before = descriptors();
      for (int end = 0; end <= all.length; end++) {
        NbdTestClient client = NbdTestClient.connect(fixture.server);
        try {
          client.send(Arrays.copyOf(all, end));
        } catch (IOException e) {
          assertThat(e).isNotNull(); // The server was faster, after DISC.
        }
        client.close();
      }
      settled(fixture);
      ServerFixture.await("descriptors are closed", () -> descriptorsNow() <= before + 1);
    } finally {
      late.shutdown();
    }
  }

  private static long descriptorsNow() {
    try {
      return descriptors();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  @Timeout(60)
  void client_halfClosingAfterEachByte_getsWhatItAskedForAndTheEnd() throws IOException {
    byte[] all = session();
    Executor direct = Runnable::run;
    MemoryDevice device = new MemoryDevice(SIZE).absent(1 << 20, SIZE).missesOn(direct);
    try (ServerFixture fixture = new ServerFixture(device)) {
      for (int end = 0; end <= all.length; end += 7) {
        NbdTestClient client = NbdTestClient.connect(fixture.server);
        client.send(Arrays.copyOf(all, end));
        ((SocketChannel) client.channel()).shutdownOutput();
        java.nio.ByteBuffer sink = java.nio.ByteBuffer.allocate(1 << 16);
        while (client.channel().read(sink.clear()) >= 0) {
          assertThat(sink.position()).isPositive();
        }
        client.close();
      }
      settled(fixture);
    }
  }

  @Test
  @Timeout(60)
  void client_vanishingWithMissesInFlight_freesThemWhenTheyReturn() throws IOException {
    MemoryDevice device = new MemoryDevice(SIZE).absent(0, SIZE).holdMisses();
    try (ServerFixture fixture = new ServerFixture(device)) {
      for (int i = 0; i < 20; i++) {
        NbdTestClient client = fixture.go(i % 2 == 0 ? 0 : 8);
        for (int j = 0; j < 10; j++) {
          client.request(0, 0, j, j * 4096L, 70_000);
        }
        int asked = (i + 1) * 10;
        ServerFixture.await("misses are asked", () -> device.heldMisses() == asked);
        client.request(0, 77, 1, 0, 0); // Something to answer, so that the server notices.
        client.close();
      }
      assertThat(fixture.server.heldBytes()).isEqualTo(200L * 70_000);
      device.releaseMisses();
      settled(fixture);
    }
  }

  @Test
  @Timeout(60)
  void connections_comingAndGoing_leaveNothing() throws IOException {
    churn(500, 0);
  }

  @Test
  @Tag("slow")
  @Timeout(120)
  void connections_hundredPerSecondForAMinute_leaveNothing() throws IOException {
    churn(6000, 10_000_000);
  }

  private static void churn(int count, long nanosBetween) throws IOException {
    long others = serverThreads();
    MemoryDevice device = new MemoryDevice(SIZE).absent(1 << 20, SIZE);
    try (ServerFixture fixture = new ServerFixture(device)) {
      fixture.go(0).close();
      settled(fixture);
      long descriptors = descriptors();
      int threads = Thread.activeCount();
      long start = System.nanoTime();
      for (int i = 0; i < count; i++) {
        LockSupport.parkNanos(start + i * nanosBetween - System.nanoTime());
        NbdTestClient client = NbdTestClient.connect(fixture.server).hello();
        client.go(new int[] {0, 8, 11}[i % 3], "disk");
        client.request(0, 0, 1, 0, 4096);
        client.request(0, 0, 2, 1 << 20, 300_000);
        client.request(0, 3, 3, 0, 0);
        client.close();
      }
      settled(fixture);
      ServerFixture.await("descriptors are closed", () -> descriptorsNow() <= descriptors + 1);
      System.out.println(
          "churn: connections="
              + count
              + " descriptors before="
              + descriptors
              + " after="
              + descriptors()
              + " threads before="
              + threads
              + " after="
              + Thread.activeCount()
              + " bytes held="
              + fixture.server.heldBytes());
      assertThat(Thread.activeCount()).isLessThanOrEqualTo(threads + 8); // The workers.
    }
    ServerFixture.await("no thread is left", () -> serverThreads() <= others);
  }

  private static long serverThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("uloop-nbd-"))
        .count();
  }
}
