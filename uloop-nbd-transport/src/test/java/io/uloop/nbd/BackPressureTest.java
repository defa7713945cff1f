/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Clients that ask and do not read, or begin and do not end, hold little and block nobody. */
@Timeout(30)
class BackPressureTest {

  private static final int SIZE = 8 << 20;

  private final MemoryDevice device = new MemoryDevice(SIZE);

  /** Sends requests until the server takes no more; gives how many. */
  private static int flood(NbdTestClient client, int length) throws IOException {
    return flood(client, 0, length);
  }

  private static int flood(NbdTestClient client, int type, int length) throws IOException {
    SocketChannel channel = (SocketChannel) client.channel();
    channel.configureBlocking(false);
    int sent = 0;
    int idle = 0;
    while (idle < 50) {
      byte[] bytes =
          client.requestBytes(
              0, type, sent, type == 0 ? (long) sent % 100 * 4096 : 0, length, new byte[0]);
      if (channel.write(ByteBuffer.wrap(bytes)) == bytes.length) {
        sent++;
        idle = 0;
      } else {
        idle++;
        LockSupport.parkNanos(1_000_000);
      }
    }
    channel.configureBlocking(true);
    return sent;
  }

  @Test
  void client_thatDoesNotRead_isNotReadEither() throws IOException {
    try (ServerFixture fixture = new ServerFixture(device)) {
      NbdTestClient stuck = fixture.go(0);
      int sent = flood(stuck, 4096);

      assertThat(fixture.server.heldBytes()).isZero();
      ServerFixture.assertSame(fixture.go(0).read(5, 100_000), device.slice(5, 100_000));
      for (int i = 0; i < sent; i++) {
        NbdTestClient.Chunk reply = stuck.receiveChunk(4096);
        assertThat(reply.cookie()).isEqualTo(i);
        ServerFixture.assertSame(reply.data(), device.slice((long) i % 100 * 4096, 4096));
      }
    }
  }

  @Test
  void misses_ofAClientThatDoesNotRead_holdNoMoreThanItsLimit() throws IOException {
    long limit = 1 << 20;
    NbdLimits limits = NbdLimits.builder().payloadBytes(64 << 10).connectionBytes(limit).build();
    device.absent(0, SIZE).holdMisses();
    try (ServerFixture fixture = new ServerFixture(device, c -> c.limits(limits))) {
      NbdTestClient stuck = fixture.go(0);
      int sent = flood(stuck, 64 << 10);

      ServerFixture.await(
          "16 are held", () -> fixture.server.heldBytes() == limit && device.heldMisses() == 16);
      device.releaseMisses();
      for (int i = 0; i < sent; i++) {
        assertThat(stuck.receiveChunk(64 << 10).error()).isZero();
      }
    }
  }

  @Test
  void blockStatus_ofAClientThatDoesNotRead_holdsNoMoreThanItsLimit() throws IOException {
    long limit = 1 << 20;
    NbdLimits limits = NbdLimits.builder().payloadBytes(512 << 10).connectionBytes(limit).build();
    for (int at = 0; at < SIZE; at += 8192) {
      device.absent(at, at + 4096);
    }
    try (ServerFixture fixture = new ServerFixture(device, c -> c.limits(limits))) {
      NbdTestClient stuck = fixture.go(8, "x-uloop:cached");
      int sent = flood(stuck, 7, SIZE);

      ServerFixture.await("something is held", () -> fixture.server.heldBytes() > 0);
      assertThat(fixture.server.heldBytes()).isLessThanOrEqualTo(limit);
      for (int i = 0; i < sent; i++) {
        NbdTestClient.Chunk reply = stuck.receiveChunk(0);
        assertThat(reply.type()).isEqualTo(5);
        assertThat(reply.data().length).isGreaterThan(8000);
      }
    }
  }

  @Test
  void requestsInFlight_moreThanTheLimit_waitInTheSocket() throws IOException {
    device.absent(0, SIZE).holdMisses();
    NbdLimits limits = NbdLimits.builder().requestsInFlight(5).build();
    try (ServerFixture fixture = new ServerFixture(device, c -> c.limits(limits))) {
      NbdTestClient client = fixture.go(0);
      for (int i = 0; i < 100; i++) {
        client.request(0, 0, i, i * 4096, 4096);
      }
      ServerFixture.await("five are asked", () -> device.heldMisses() == 5);
      device.releaseMisses();
      for (int i = 0; i < 100; i++) {
        assertThat(client.receiveChunk(4096).error()).isZero();
      }
    }
  }

  @Test
  void memory_heldByStalledClients_isFreedForOthers() throws IOException {
    NbdLimits limits =
        NbdLimits.builder()
            .payloadBytes(1 << 20)
            .connectionBytes(1 << 20)
            .serverBytes(2 << 20)
            .stallTime(Duration.ofMillis(100))
            .build();
    try (ServerFixture fixture = new ServerFixture(device, c -> c.limits(limits))) {
      for (int i = 0; i < 2; i++) {
        NbdTestClient client = fixture.go(0);
        client.send(client.requestBytes(0, 1, 1, 0, 1 << 20, new byte[1000]));
      }
      ServerFixture.await("both hold", () -> fixture.server.heldBytes() == 2 << 20);
      NbdTestClient working = fixture.go(0);
      ServerFixture.assertSame(working.read(0, 100), device.slice(0, 100));
      working.write(0, 1, 0, new byte[1 << 20]);

      assertThat(NbdTestClient.error(working.receiveReply(0))).isZero();
      ServerFixture.await("a stalled one is gone", () -> fixture.server.connections() < 3);
    }
  }

  @Test
  void memory_heldByTricklingClients_isFreedForOthers() throws Exception {
    NbdLimits limits =
        NbdLimits.builder()
            .payloadBytes(1 << 20)
            .connectionBytes(1 << 20)
            .serverBytes(2 << 20)
            .stallTime(Duration.ofMillis(600))
            .build();
    AtomicBoolean over = new AtomicBoolean();
    List<Thread> senders = new ArrayList<>();
    try (ServerFixture fixture = new ServerFixture(device, c -> c.limits(limits))) {
      for (int i = 0; i < 2; i++) {
        NbdTestClient client = fixture.go(0);
        client.send(client.requestBytes(0, 1, 1, 0, 1 << 20, new byte[1000]));
        senders.add(new Thread(() -> trickle(client, over)));
      }
      ServerFixture.await("both hold", () -> fixture.server.heldBytes() == 2 << 20);
      senders.forEach(Thread::start);
      NbdTestClient working = fixture.go(0);
      working.write(0, 1, 0, new byte[1 << 20]);

      assertThat(NbdTestClient.error(working.receiveReply(0))).isZero();
      over.set(true);
      for (Thread sender : senders) {
        sender.join();
      }
    }
  }

  /** Sends a byte now and then, so that the connection never stands still. */
  private static void trickle(NbdTestClient client, AtomicBoolean over) {
    try {
      while (!over.get()) {
        client.send(new byte[1]);
        LockSupport.parkNanos(5_000_000);
      }
    } catch (IOException e) {
      return; // The server has had enough.
    }
  }

  @Test
  void idleClient_pastTheIdleTime_isDisconnected() throws IOException {
    NbdLimits limits = NbdLimits.builder().idleTime(Duration.ofMillis(100)).build();
    try (ServerFixture fixture = new ServerFixture(device, c -> c.limits(limits))) {
      assertThat(fixture.go(0).isClosed()).isTrue();
    }
  }
}
