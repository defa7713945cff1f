/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.EXTENDED;
import static io.uloop.nbd.NbdTestClient.SIMPLE;
import static io.uloop.nbd.NbdTestClient.STRUCTURED;
import static io.uloop.nbd.NbdTestClient.bytes;
import static io.uloop.nbd.NbdTestClient.error;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.DeviceCapabilities;
import io.uloop.nbd.NbdTestClient.Chunk;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** proto.md, "Request types" and "Error values". */
@Timeout(20)
class TransmissionTest {

  private static final int SIZE = 8 << 20;
  private static final int EPERM = 1;
  private static final int EIO = 5;
  private static final int EINVAL = 22;
  private static final int ENOSPC = 28;
  private static final int EOVERFLOW = 75;
  private static final int ENOTSUP = 95;

  private final MemoryDevice device = new MemoryDevice(SIZE);
  private ServerFixture fixture;

  @AfterEach
  void close() throws IOException {
    fixture.close();
  }

  private NbdTestClient go(int mode, String... contexts) throws IOException {
    if (fixture == null) {
      fixture = new ServerFixture(device);
    }
    return fixture.go(mode, contexts);
  }

  // ---- READ ----

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void read_presentOfAnySize_givesTheBytes(int mode) throws IOException {
    NbdTestClient client = go(mode);
    for (int length : new int[] {1, 511, 4096, 65_536, 65_537, 300_001, 1 << 20, SIZE - 3}) {
      ServerFixture.assertSame(client.read(3, length), device.slice(3, length));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void read_absent_givesTheBytes(int mode) throws IOException {
    device.absent(0, SIZE);
    NbdTestClient client = go(mode);
    for (int length : new int[] {1, 4096, 65_537, 3 << 20}) {
      ServerFixture.assertSame(client.read(5, length), device.slice(5, length));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {STRUCTURED, EXTENDED})
  void read_piecesComeOneByOne_eachIsSentAsItComes(int mode) throws IOException {
    device.absent(0, SIZE).failing(1 << 20, (1 << 20) + 4096).holdMisses();
    NbdTestClient client = go(mode);
    client.request(0, 0, 1, 0, 3 << 20);
    ServerFixture.await("all are asked", () -> device.heldMisses() == 3);

    device.releaseOneMiss();
    Chunk first = client.receiveChunk(0);
    assertThat(first.offset()).isZero();
    ServerFixture.assertSame(first.data(), device.slice(0, 1 << 20));

    device.releaseOneMiss();
    Chunk failure = client.receiveChunk(0);
    assertThat(failure.error()).isEqualTo(EIO);
    assertThat(failure.offset()).isEqualTo(1 << 20);
    assertThat(failure.done()).isFalse();

    device.releaseOneMiss();
    assertThat(client.receiveReply(0)).extracting(Chunk::offset).contains(2L << 20);
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void read_partlyPresentWithHoles_givesTheBytes(int mode) throws IOException {
    device.absent(100_000, 200_000).absent(4 << 20, 7 << 20).hole(1 << 20, 2 << 20);
    NbdTestClient client = go(mode);

    ServerFixture.assertSame(client.read(1, SIZE - 1), device.slice(1, SIZE - 1));
  }

  @Test
  void read_hole_isNamedNotSent() throws IOException {
    device.hole(1 << 20, 2 << 20);
    NbdTestClient client = go(STRUCTURED);
    client.request(0, 0, 1, 1 << 20, 1 << 20);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply).hasSize(1);
    assertThat(reply.get(0).type()).isEqualTo(2);
    assertThat(reply.get(0).data()).isEqualTo(bytes(1 << 20));
    assertThat(device.zeroesTold()).isEqualTo(1 << 20);
  }

  @Test
  void read_dontFragment_isOneContentChunk() throws IOException {
    device.absent(100_000, 200_000).hole(1 << 20, 2 << 20);
    NbdTestClient client = go(STRUCTURED);
    client.request(4, 0, 1, 0, 3 << 20);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply).filteredOn(c -> c.type() != 0).hasSize(1);
    ServerFixture.assertSame(NbdTestClient.assemble(reply, 0, 3 << 20), device.slice(0, 3 << 20));
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void read_nothing_isAnswered(int mode) throws IOException {
    assertThat(go(mode).error(0, 0, 10, 0)).isZero();
  }

  @ParameterizedTest
  @CsvSource({"0,8388609", "8388608,1", "-1,1", "9223372036854775807,4096"})
  void read_beyondTheEnd_isInvalid(long offset, long length) throws IOException {
    for (int mode : new int[] {SIMPLE, STRUCTURED, EXTENDED}) {
      NbdTestClient client = go(mode);

      assertThat(client.error(0, 0, offset, length)).isEqualTo(EINVAL);
      ServerFixture.assertSame(client.read(0, 10), device.slice(0, 10));
    }
  }

  @Test
  void read_longerThanThePayloadLimit_fails() throws IOException {
    fixture =
        new ServerFixture(device, c -> c.limits(NbdLimits.builder().payloadBytes(1 << 20).build()));

    assertThat(go(SIMPLE).error(0, 0, 0, 2 << 20)).isEqualTo(EINVAL);
    assertThat(go(STRUCTURED).error(0, 0, 0, 2 << 20)).isEqualTo(EOVERFLOW);
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void read_deviceFails_isAnsweredAndTheConnectionGoesOn(int mode) throws IOException {
    device.absent(0, 4 << 20).failing(4096, 8192);
    NbdTestClient client = go(mode);

    assertThat(client.error(0, 0, 4000, 1000)).isEqualTo(EIO);
    ServerFixture.assertSame(client.read(0, 4096), device.slice(0, 4096));
  }

  @Test
  void read_partFails_tellsWhereAndSendsTheRest() throws IOException {
    device.absent(0, 4 << 20).failing(2 << 20, (2 << 20) + 4096);
    NbdTestClient client = go(STRUCTURED);
    client.request(0, 0, 1, 0, 4 << 20);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply).filteredOn(c -> c.error() != 0).hasSize(1);
    Chunk failure = reply.stream().filter(c -> c.error() != 0).findFirst().orElseThrow();
    assertThat(failure.type()).isEqualTo(0x8002);
    assertThat(failure.offset()).isEqualTo(2 << 20);
    assertThat(new String(failure.data())).contains("switched off");
    assertThat(reply).filteredOn(c -> c.type() == 1).hasSize(3);
  }

  @Test
  void read_missesAndHits_areAnsweredOutOfOrder() throws IOException {
    device.absent(0, 4096).holdMisses();
    NbdTestClient client = go(SIMPLE);
    client.request(0, 0, 1, 0, 4096);
    client.request(0, 0, 2, 8192, 4096);

    assertThat(client.receiveChunk(4096).cookie()).isEqualTo(2);
    device.releaseMisses();
    Chunk late = client.receiveChunk(4096);
    assertThat(late.cookie()).isEqualTo(1);
    ServerFixture.assertSame(late.data(), device.slice(0, 4096));
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void read_evictedAfterTheHeader_isStillRight(int mode) throws IOException {
    device.evictingBeforeTransfer();

    ServerFixture.assertSame(go(mode).read(0, 1 << 20), device.slice(0, 1 << 20));
  }

  @Test
  void read_evictedAndThenFailing_isPaddedAndReported() throws IOException {
    device.evictingBeforeTransfer().failing(0, SIZE);
    NbdTestClient client = go(STRUCTURED);
    client.request(0, 0, 1, 0, 1 << 20);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply.get(0).data()).hasSize(1 << 20);
    assertThat(reply.get(1).error()).isEqualTo(EIO);
    assertThat(reply.get(1).offset()).isEqualTo(1000);
    assertThat(client.error(0, 3, 0, 0)).isZero();
  }

  @Test
  void read_evictedAndThenFailingSimple_endsTheConnection() throws IOException {
    device.evictingBeforeTransfer().failing(0, SIZE);
    NbdTestClient client = go(SIMPLE);
    client.request(0, 0, 1, 0, 1 << 20);
    client.receive(16 + 1000);

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void read_misaligned_isInvalid() throws IOException {
    device.with(new DeviceCapabilities(true, true, true, true, false, 512, 4096));
    NbdTestClient client = go(SIMPLE);

    assertThat(client.error(0, 0, 1, 512)).isEqualTo(EINVAL);
    assertThat(client.error(0, 0, 0, 511)).isEqualTo(EINVAL);
    ServerFixture.assertSame(client.read(512, 512), device.slice(512, 512));
  }

  // ---- WRITE and its like ----

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void write_anySize_isRead(int mode) throws IOException {
    NbdTestClient client = go(mode);
    for (int length : new int[] {1, 4096, 100_000, 4 << 20}) {
      byte[] data = new byte[length];
      Arrays.fill(data, (byte) length);
      client.write(1, 1, 7, data);

      assertThat(error(client.receiveReply(0))).isZero();
      assertThat(client.read(7, length)).isEqualTo(data);
    }
    assertThat(device.calls()).contains("write 7 4096 fua");
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void write_readOnly_isRefusedAndThePayloadSkipped(int mode) throws IOException {
    device.readOnly();
    NbdTestClient client = go(mode);
    client.write(0, 1, 0, new byte[100_000]);

    assertThat(error(client.receiveReply(0))).isEqualTo(EPERM);
    assertThat(client.error(0, 4, 0, 4096)).isEqualTo(EPERM);
    assertThat(client.error(0, 6, 0, 4096)).isEqualTo(EPERM);
    ServerFixture.assertSame(client.read(0, 4096), device.slice(0, 4096));
    assertThat(device.calls()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void write_beyondTheEnd_isNoSpace(int mode) throws IOException {
    NbdTestClient client = go(mode);
    client.write(0, 1, SIZE - 10, new byte[11]);

    assertThat(error(client.receiveReply(0))).isEqualTo(ENOSPC);
    assertThat(client.error(0, 6, SIZE, 1)).isEqualTo(ENOSPC);
    assertThat(client.error(0, 4, SIZE, 1)).isEqualTo(EINVAL);
  }

  @Test
  void write_nothing_isAnswered() throws IOException {
    assertThat(go(SIMPLE).error(0, 1, 0, 0)).isZero();
  }

  @Test
  void write_absurdlyLong_endsTheConnection() throws IOException {
    NbdTestClient client = go(SIMPLE);
    client.request(0, 1, 1, 0, (32 << 20) + 1);

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void write_extendedWithoutPayloadFlag_isTakenAsQemuMeansIt() throws IOException {
    NbdTestClient client = go(EXTENDED);
    client.send(client.requestBytes(1, 1, 1, 0, 4096, new byte[4096]));

    assertThat(error(client.receiveReply(0))).isZero();
    assertThat(client.read(0, 4096)).isEqualTo(new byte[4096]);
  }

  @Test
  void payload_unexpected_isSkippedAndInvalid() throws IOException {
    NbdTestClient client = go(EXTENDED);
    for (int type : new int[] {0, 3, 4, 5, 6, 7, 99}) {
      client.send(client.requestBytes(32, type, 1, 0, 1000, new byte[1000]));

      assertThat(error(client.receiveReply(0))).isEqualTo(EINVAL);
    }
    ServerFixture.assertSame(client.read(0, 10), device.slice(0, 10));
  }

  @Test
  void trimZeroCacheFlush_reachTheDevice() throws IOException {
    NbdTestClient client = go(STRUCTURED);

    assertThat(client.error(1, 4, 4096, 8192)).isZero();
    assertThat(client.error(0, 6, 0, 4096)).isZero();
    assertThat(client.error(2 | 1, 6, 4096, 4096)).isZero();
    assertThat(client.error(16, 6, 8192, 4096)).isZero();
    assertThat(client.error(16, 6, 1, 4096)).isEqualTo(ENOTSUP);
    assertThat(client.error(0, 5, 0, 4096)).isZero();
    assertThat(client.error(0, 3, 0, 0)).isZero();

    assertThat(device.calls())
        .containsExactly(
            "trim 4096 8192 fua",
            "zero 0 4096 true false false",
            "zero 4096 4096 false false true",
            "zero 8192 4096 true true false",
            "zero 1 4096 true true false",
            "prefetch 0 4096");
    assertThat(device.flushes.get()).isEqualTo(1);
  }

  @Test
  void zero_hugeWithExtendedHeaders_isOneCall() throws IOException {
    NbdTestClient client = go(EXTENDED);

    assertThat(client.error(0, 6, 0, SIZE)).isZero();
    assertThat(client.error(0, 6, 0, 1L << 40)).isEqualTo(ENOSPC);
  }

  @Test
  void trimAndZero_notAdvertised_areInvalid() throws IOException {
    device.with(new DeviceCapabilities(true, false, false, false, false, 1, 4096));
    NbdTestClient client = go(SIMPLE);

    assertThat(client.error(0, 4, 0, 4096)).isEqualTo(EINVAL);
    assertThat(client.error(0, 6, 0, 4096)).isEqualTo(EINVAL);
  }

  @Test
  void requests_misalignedOfAnyKind_areInvalid() throws IOException {
    device.with(new DeviceCapabilities(true, true, true, true, false, 512, 4096));
    NbdTestClient client = go(STRUCTURED, "base:allocation");
    for (int type : new int[] {0, 4, 5, 6, 7}) {
      assertThat(client.error(0, type, 1, 512)).isEqualTo(EINVAL);
      assertThat(client.error(0, type, 512, 513)).isEqualTo(EINVAL);
      assertThat(client.error(0, type, 512, 512)).isZero();
    }
    client.write(0, 1, 512, new byte[511]);
    assertThat(error(client.receiveReply(0))).isEqualTo(EINVAL);
    client.write(0, 1, 511, new byte[512]);
    assertThat(error(client.receiveReply(0))).isEqualTo(EINVAL);
    assertThat(device.calls()).noneMatch(call -> call.startsWith("write"));
  }

  @Test
  void requests_withTheSameCookie_areAllAnswered() throws IOException {
    device.absent(0, 4096).holdMisses();
    NbdTestClient client = go(SIMPLE);
    for (int i = 0; i < 3; i++) {
      client.request(0, 0, 7, 0, 4096);
      client.request(0, 0, 7, 8192, 4096);
    }
    for (int i = 0; i < 3; i++) {
      assertThat(client.receiveChunk(4096).data()).isEqualTo(device.slice(8192, 4096));
    }
    device.releaseMisses();
    for (int i = 0; i < 3; i++) {
      Chunk late = client.receiveChunk(4096);
      assertThat(late.cookie()).isEqualTo(7);
      assertThat(late.data()).isEqualTo(device.slice(0, 4096));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "2,0", "8,0", "16,0", "32,0", "64,0", "32768,0", "2,3", "4,3", "4,4", "2,5", "4,6", "8,6",
    "4,7", "0,8", "0,255",
  })
  void request_flagOrTypeThatIsNotForIt_isInvalid(int flags, int type) throws IOException {
    for (int mode : new int[] {SIMPLE, STRUCTURED}) {
      NbdTestClient client = go(mode);

      assertThat(client.error(flags, type, 0, 0)).isEqualTo(EINVAL);
      ServerFixture.assertSame(client.read(0, 10), device.slice(0, 10));
    }
  }

  @Test
  void flush_withRange_isInvalid() throws IOException {
    NbdTestClient client = go(SIMPLE);

    assertThat(client.error(0, 3, 0, 1)).isEqualTo(EINVAL);
    assertThat(client.error(0, 3, 1, 0)).isEqualTo(EINVAL);
  }

  @Test
  void flush_whileAWriteWaits_doesNotBlockReads() throws IOException {
    CountDownLatch gate = new CountDownLatch(1);
    device.gate(gate);
    NbdTestClient client = go(SIMPLE);
    client.write(0, 1, 0, new byte[4096]);
    client.request(0, 3, 2, 0, 0);
    client.request(0, 0, 3, 8192, 10);

    assertThat(client.receiveChunk(10).cookie()).isEqualTo(3);
    gate.countDown();
    assertThat(List.of(client.receiveChunk(0).cookie(), client.receiveChunk(0).cookie()))
        .containsExactlyInAnyOrder(1L, 2L);
  }

  @Test
  void disc_withRequestsInFlight_answersThemAndCloses() throws IOException {
    device.absent(0, 4096).holdMisses();
    NbdTestClient client = go(SIMPLE);
    client.request(0, 0, 1, 0, 4096);
    client.request(0, 2, 2, 0, 0);
    ServerFixture.await("the miss is asked", () -> device.heldMisses() == 1);
    device.releaseMisses();

    ServerFixture.assertSame(client.receiveChunk(4096).data(), device.slice(0, 4096));
    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void request_wrongMagic_endsTheConnection() throws IOException {
    NbdTestClient client = go(SIMPLE);
    client.send(new byte[28]);

    assertThat(client.isClosed()).isTrue();
  }

  // ---- BLOCK_STATUS ----

  @Test
  void blockStatus_bothContexts_tellHolesAndPresence() throws IOException {
    device.hole(8192, 16384).absent(4096, 8192).absent(1 << 20, SIZE);
    NbdTestClient client = go(STRUCTURED, "base:allocation", "x-uloop:cached");
    client.request(0, 7, 1, 0, SIZE);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply).extracting(Chunk::type).containsExactly(5, 5);
    assertThat(reply.get(0).data()).isEqualTo(bytes(1, 8192, 0, 8192, 3, SIZE - 16384, 0));
    assertThat(reply.get(1).data())
        .isEqualTo(bytes(2, 4096, 1, 4096, 0, (1 << 20) - 8192, 1, SIZE - (1 << 20), 0));
  }

  @Test
  void blockStatus_requestOne_isOneRunEach() throws IOException {
    device.hole(8192, 16384);
    NbdTestClient client = go(STRUCTURED, "base:allocation", "x-uloop:cached");
    client.request(8, 7, 1, 4096, 100_000);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply.get(0).data()).isEqualTo(bytes(1, 4096, 0));
    assertThat(reply.get(1).data()).isEqualTo(bytes(2, 100_000, 1));
  }

  @Test
  void blockStatus_extended_has64BitRuns() throws IOException {
    device.hole(0, 4096);
    NbdTestClient client = go(EXTENDED, "base:allocation");
    client.request(0, 7, 1, 0, SIZE);

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply.get(0).type()).isEqualTo(6);
    assertThat(reply.get(0).data()).isEqualTo(bytes(1, 2, 4096L, 3L, (long) SIZE - 4096, 0L));
  }

  @Test
  void blockStatus_payloadForm_answersForTheChosenContext() throws IOException {
    NbdTestClient client = go(EXTENDED, "base:allocation", "x-uloop:cached");
    client.send(client.requestBytes(32, 7, 1, 4096, 12, bytes(8192L, 2)));

    List<Chunk> reply = client.receiveReply(0);

    assertThat(reply).hasSize(1);
    assertThat(reply.get(0).data()).isEqualTo(bytes(2, 1, 8192L, 1L));
  }

  @Test
  void blockStatus_payloadFormMalformed_isInvalid() throws IOException {
    NbdTestClient client = go(EXTENDED, "base:allocation", "x-uloop:cached");
    List<byte[]> payloads = new ArrayList<>();
    payloads.add(new byte[0]);
    payloads.add(bytes(8192L));
    payloads.add(bytes(8192L, 3));
    payloads.add(bytes(8192L, 0));
    payloads.add(bytes(8192L, 1, 1));
    payloads.add(bytes(8192L, (short) 1));
    payloads.add(bytes((long) SIZE + 1, 1));
    payloads.add(bytes(-1L, 1));
    payloads.add(new byte[1 << 20]);
    for (byte[] payload : payloads) {
      client.send(client.requestBytes(32, 7, 1, 0, payload.length, payload));

      assertThat(error(client.receiveReply(0))).isEqualTo(EINVAL);
    }
  }

  @Test
  void blockStatus_payloadFormMisaligned_isInvalid() throws IOException {
    device.with(new DeviceCapabilities(true, true, true, true, false, 512, 4096));
    NbdTestClient client = go(EXTENDED, "base:allocation");
    for (long[] range : new long[][] {{0, 100}, {100, 512}}) {
      client.send(client.requestBytes(32, 7, 1, range[0], 12, bytes(range[1], 1)));

      assertThat(error(client.receiveReply(0))).isEqualTo(EINVAL);
    }
    client.send(client.requestBytes(32, 7, 1, 512, 12, bytes(1024L, 1)));
    assertThat(client.receiveReply(0).get(0).data()).isEqualTo(bytes(1, 1, 1024L, 0L));
  }

  @Test
  void blockStatus_noContextOrBeyondTheEnd_isInvalid() throws IOException {
    assertThat(go(STRUCTURED).error(0, 7, 0, 4096)).isEqualTo(EINVAL);
    assertThat(go(SIMPLE).error(0, 7, 0, 4096)).isEqualTo(EINVAL);
    assertThat(go(STRUCTURED, "base:allocation").error(0, 7, SIZE, 1)).isEqualTo(EINVAL);
    assertThat(go(STRUCTURED, "base:other").error(0, 7, 0, 1)).isEqualTo(EINVAL);
  }

  @Test
  void blockStatus_manyRuns_answersAPartThatMakesProgress() throws IOException {
    for (int at = 0; at < SIZE; at += 8192) {
      device.absent(at, at + 4096);
    }
    NbdTestClient client = go(STRUCTURED, "x-uloop:cached");
    long at = 0;
    while (at < SIZE) {
      client.request(0, 7, 1, at, SIZE - at);
      ByteBuffer runs = ByteBuffer.wrap(client.receiveReply(0).get(0).data());
      assertThat(runs.getInt()).isEqualTo(2);
      while (runs.hasRemaining()) {
        int length = runs.getInt();
        assertThat(length).isEqualTo(4096);
        assertThat(runs.getInt()).isEqualTo(at % 8192 == 0 ? 0 : 1);
        at += length;
      }
    }
    assertThat(at).isEqualTo(SIZE);
  }

  // ---- several at once ----

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED, EXTENDED})
  void requests_manyPipelined_areAllAnswered(int mode) throws IOException {
    device.absent(1 << 20, 2 << 20);
    NbdTestClient client = go(mode);
    Thread sender =
        new Thread(
            () -> {
              try {
                for (int i = 0; i < 5000; i++) {
                  client.request(0, 0, i, i * 1000L, 4096);
                }
              } catch (IOException e) {
                throw new AssertionError(e);
              }
            });
    sender.start();
    boolean[] seen = new boolean[5000];
    for (int i = 0; i < 5000; i++) {
      Chunk reply = client.receiveChunk(4096);
      seen[(int) reply.cookie()] = true;
      ServerFixture.assertSame(reply.data(), device.slice(reply.cookie() * 1000, 4096));
    }
    assertThat(seen).doesNotContain(false);
  }

  @Test
  void flush_onOneConnection_coversAnother() throws IOException {
    NbdTestClient one = go(SIMPLE);
    NbdTestClient two = go(SIMPLE);
    one.write(0, 1, 0, new byte[10]);
    one.receiveReply(0);

    assertThat(two.error(0, 3, 0, 0)).isZero();

    assertThat(device.flushes.get()).isEqualTo(1);
    assertThat(two.flags & 256).isNotZero();
  }
}
