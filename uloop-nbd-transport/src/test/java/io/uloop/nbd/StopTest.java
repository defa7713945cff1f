/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.nbd.NbdTestClient.Chunk;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** proto.md, "Terminating the transmission phase": a server that stops. */
@Timeout(20)
class StopTest {

  private static final int ESHUTDOWN = 108;

  private final MemoryDevice device = new MemoryDevice(1 << 20);

  private static CompletableFuture<Void> stop(NbdServer server) {
    return CompletableFuture.runAsync(
        () -> {
          try {
            server.close();
          } catch (IOException e) {
            throw new AssertionError(e);
          }
        });
  }

  /** It takes two seconds at most; what is wrong would take for ever. */
  private static void assertQuick(long start) {
    assertThat(TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start)).isLessThan(20);
  }

  @Test
  void close_idleClients_areToldByTheEndOfTheStream() throws Exception {
    try (ServerFixture fixture = new ServerFixture(device)) {
      NbdTestClient idle = fixture.go(0);
      NbdTestClient greeted = fixture.connect();
      greeted.receive(18);
      long start = System.nanoTime();
      CompletableFuture<Void> stopped = stop(fixture.server);

      assertThat(idle.isClosed()).isTrue();
      assertThat(greeted.isClosed()).isTrue();
      idle.close();
      greeted.close();
      stopped.get();
      assertQuick(start);
    }
  }

  @Test
  void close_requestsInFlight_areAnsweredAndLaterOnesFail() throws Exception {
    try (ServerFixture fixture = new ServerFixture(device.absent(0, 4096).holdMisses())) {
      NbdTestClient client = fixture.go(0);
      client.request(0, 0, 1, 0, 4096);
      ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
      CompletableFuture<Void> stopped = stop(fixture.server);
      Chunk late;
      long cookie = 2;
      do {
        client.request(0, 0, cookie++, 8192, 10);
        late = client.receiveChunk(10);
      } while (late.error() == 0);
      assertThat(late.error()).isEqualTo(ESHUTDOWN);
      device.releaseMisses();

      Chunk answer = client.receiveChunk(4096);
      assertThat(answer.cookie()).isEqualTo(1);
      ServerFixture.assertSame(answer.data(), device.slice(0, 4096));
      assertThat(client.isClosed()).isTrue();
      client.close();
      stopped.get();
    }
  }

  @Test
  void close_requestThatNeverEnds_failsInTime() throws Exception {
    CountDownLatch gate = new CountDownLatch(1);
    device.gate(gate);
    try (ServerFixture fixture = new ServerFixture(device.absent(0, 4096).holdMisses())) {
      NbdTestClient client = fixture.go(8);
      client.request(0, 0, 1, 0, 4096);
      client.request(0, 3, 2, 0, 0);
      ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
      long start = System.nanoTime();
      CompletableFuture<Void> stopped = stop(fixture.server);

      assertThat(client.receiveChunk(0).error()).isEqualTo(ESHUTDOWN);
      assertThat(client.receiveChunk(0).error()).isEqualTo(ESHUTDOWN);
      assertThat(client.isClosed()).isTrue();
      stopped.get();
      assertQuick(start);
      gate.countDown();
    }
  }

  @Test
  void close_clientThatDoesNotRead_isCutOff() throws Exception {
    try (ServerFixture fixture = new ServerFixture(device)) {
      NbdTestClient client = fixture.go(0);
      for (int i = 0; i < 20; i++) {
        client.request(0, 0, i, 0, 1 << 20);
      }
      long start = System.nanoTime();
      fixture.server.close();

      assertQuick(start);
    }
  }

  @Test
  void close_twiceAndFromSeveralThreads_isTheSame() throws Exception {
    try (ServerFixture fixture = new ServerFixture(device)) {
      CompletableFuture.allOf(stop(fixture.server), stop(fixture.server)).get();
      fixture.server.close();
      fixture.server.await();
    }
  }

  @Test
  @Timeout(60)
  void startAndClose_manyTimes_needNoMoreMemory() throws Exception {
    // Found by fuzzing: what the starting thread had allocated kept a megabyte per server alive.
    for (int i = 0; i < 400; i++) {
      try (ServerFixture fixture = new ServerFixture(new MemoryDevice(4096), c -> c.threads(2))) {
        assertThat(fixture.go(0).read(0, 10)).hasSize(10);
        assertThat(fixture.go(0).read(0, 10)).hasSize(10);
      }
    }
  }

  @Test
  void option_whileStopping_isRefused() throws Exception {
    try (ServerFixture fixture = new ServerFixture(device.absent(0, 4096).holdMisses())) {
      NbdTestClient busy = fixture.go(0);
      busy.request(0, 0, 1, 0, 4096);
      ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
      NbdTestClient negotiating = fixture.connect().hello();
      assertThat(negotiating.outcome(8, new byte[0])).isEqualTo(1);
      CompletableFuture<Void> stopped = stop(fixture.server);

      // Either the option came in time to be refused, or the stream has ended before.
      try {
        negotiating.sendOption(3, new byte[0]);
        NbdTestClient.OptionReply reply = negotiating.receiveOption();
        assertThat(reply.type()).isIn(1 << 31 | 7, 2);
      } catch (IOException e) {
        assertThat(e).isNotNull();
      }
      negotiating.close();
      device.releaseMisses();
      busy.receiveChunk(4096);
      busy.close();
      stopped.get();
    }
  }
}
