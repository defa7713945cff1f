/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.EXTENDED;
import static io.uloop.nbd.NbdTestClient.SIMPLE;
import static io.uloop.nbd.NbdTestClient.STRUCTURED;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.nbd.MemoryDevice.Fetches;
import io.uloop.nbd.NbdTestClient.Chunk;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Large reads of what is missing, from a device that fetches without a buffer. */
@Timeout(20)
class FetchedReadTest {

  private static final int SIZE = 8 << 20;
  private static final int EIO = 5;
  private static final int ESHUTDOWN = 108;

  private final MemoryDevice device = new MemoryDevice(SIZE).fetches(Fetches.OFFERED);
  private ServerFixture fixture;

  @AfterEach
  void close() throws IOException {
    fixture.close();
  }

  private NbdTestClient go(int mode) throws IOException {
    if (fixture == null) {
      fixture = new ServerFixture(device);
    }
    return fixture.go(mode);
  }

  private List<String> callsOf(String kind) {
    return device.calls().stream().filter(c -> c.startsWith(kind)).toList();
  }

  @ParameterizedTest
  @CsvSource({
    SIMPLE + ",OFFERED",
    STRUCTURED + ",OFFERED",
    EXTENDED + ",OFFERED",
    SIMPLE + ",IN_PART",
    STRUCTURED + ",IN_PART",
    EXTENDED + ",IN_PART",
    SIMPLE + ",IN_VAIN",
    STRUCTURED + ",IN_VAIN",
    EXTENDED + ",IN_VAIN"
  })
  void absentWithHoles_givesTheBytes(int mode, Fetches how) throws IOException {
    device.fetches(how).absent(0, SIZE).present(3 << 20, (3 << 20) + 8192);
    // Holes that are worth naming, and some that are not.
    device.hole(1 << 20, 2 << 20).hole(5 << 20, (5 << 20) + 4096).hole(SIZE - 8192, SIZE - 4096);
    NbdTestClient client = go(mode);

    for (int length : new int[] {65_536, 65_537, 300_001, 3 << 20, SIZE - 3}) {
      ServerFixture.assertSame(client.read(3, length), device.slice(3, length));
      device.absent(0, SIZE);
    }
    assertThat(callsOf("fetch")).isNotEmpty();
    boolean sendsNone = how == Fetches.IN_VAIN || (how == Fetches.IN_PART && mode == SIMPLE);
    assertThat(callsOf("send").isEmpty()).isEqualTo(sendsNone);
  }

  @Test
  void small_isReadIntoABuffer() throws IOException {
    device.absent(0, SIZE);
    NbdTestClient client = go(STRUCTURED);

    ServerFixture.assertSame(client.read(0, 65_536), device.slice(0, 65_536));
    assertThat(device.calls()).isEmpty();
  }

  @Test
  void holesThatOnlyTheFetchShows_areNamedNotSentNorToldAgain() throws IOException {
    device.absent(0, SIZE).holdMisses();
    NbdTestClient client = go(STRUCTURED);
    client.request(0, 0, 1, 0, 1 << 20);
    ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
    device.hole(262_144, 524_288);
    device.releaseMisses();

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply).filteredOn(c -> c.type() == 2).hasSize(1);
    assertThat(reply).filteredOn(c -> c.type() == 1).hasSize(2);
    ServerFixture.assertSame(NbdTestClient.assemble(reply, 0, 1 << 20), device.slice(0, 1 << 20));
    assertThat(device.zeroesTold()).isZero();
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void deviceFails_isAnsweredAndTheConnectionGoesOn(int mode) throws IOException {
    device.absent(0, 4 << 20).failing(200_000, 204_096);
    NbdTestClient client = go(mode);

    assertThat(client.error(0, 0, 4000, 300_000)).isEqualTo(EIO);
    ServerFixture.assertSame(client.read(4 << 20, 100_000), device.slice(4 << 20, 100_000));
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void deviceThrows_isAnsweredAndTheConnectionGoesOn(int mode) throws IOException {
    device.absent(0, 4 << 20).fetches(Fetches.THROWS);
    NbdTestClient client = go(mode);

    assertThat(client.error(0, 0, 4000, 300_000)).isEqualTo(EIO);
    ServerFixture.assertSame(client.read(4 << 20, 100_000), device.slice(4 << 20, 100_000));
  }

  @Test
  void evictedAndThenFailingSimple_endsTheConnection() throws IOException {
    device.absent(0, SIZE).evictingForGood();
    NbdTestClient client = go(SIMPLE);
    client.request(0, 0, 1, 0, 1 << 20);
    client.receive(16 + 1000);

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void partFails_tellsWhereAndSendsTheRest() throws IOException {
    device.absent(0, 4 << 20).failing(2 << 20, (2 << 20) + 4096);
    NbdTestClient client = go(STRUCTURED);
    client.request(0, 0, 1, 0, 4 << 20);

    List<Chunk> reply = client.receiveReply(0);

    Chunk failure = reply.stream().filter(c -> c.error() != 0).findFirst().orElseThrow();
    assertThat(failure.offset()).isEqualTo(2 << 20);
    assertThat(reply).filteredOn(c -> c.type() == 1).hasSize(3);
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void evictedAfterTheHeader_isStillRight(int mode) throws IOException {
    device.absent(0, SIZE).evictingBeforeTransfer();

    ServerFixture.assertSame(go(mode).read(0, 1 << 20), device.slice(0, 1 << 20));
  }

  @Test
  void whileOneWaits_othersAreAnswered_andItsMemoryIsHeldForIt() throws IOException {
    device.absent(0, 1 << 20).holdMisses();
    NbdTestClient client = go(SIMPLE);
    client.request(0, 0, 1, 0, 1 << 20);
    client.request(0, 0, 2, 2 << 20, 4096);

    assertThat(client.receiveChunk(4096).cookie()).isEqualTo(2);
    assertThat(fixture.server.heldBytes()).isGreaterThanOrEqualTo(1 << 20);
    device.releaseMisses();
    Chunk late = client.receiveChunk(1 << 20);
    assertThat(late.cookie()).isEqualTo(1);
    ServerFixture.assertSame(late.data(), device.slice(0, 1 << 20));
    ServerFixture.await("the memory is back", () -> fixture.server.heldBytes() == 0);
  }

  @Test
  void clientVanishes_allIsGivenBack() throws IOException {
    device.absent(0, 1 << 20).holdMisses();
    NbdTestClient client = go(STRUCTURED);
    client.request(0, 0, 1, 0, 1 << 20);
    ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
    client.close();

    device.releaseMisses();

    ServerFixture.await("it is gone", () -> fixture.server.connections() == 0);
    ServerFixture.await("the memory is back", () -> fixture.server.heldBytes() == 0);
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED})
  void serverStops_whatDoesNotComeIsAnswered(int mode) throws Exception {
    device.absent(0, 1 << 20).holdMisses();
    NbdTestClient client = go(mode);
    client.request(0, 0, 1, 0, 1 << 20);
    ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
    CompletableFuture<Void> stopped =
        CompletableFuture.runAsync(
            () -> {
              try {
                fixture.server.close();
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });

    assertThat(client.receiveChunk(0).error()).isEqualTo(ESHUTDOWN);
    assertThat(client.isClosed()).isTrue();
    client.close();
    stopped.get();
    device.releaseMisses();
  }
}
