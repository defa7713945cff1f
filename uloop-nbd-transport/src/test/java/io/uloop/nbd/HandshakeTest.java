/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.bytes;
import static io.uloop.nbd.NbdTestClient.infoData;
import static io.uloop.nbd.NbdTestClient.metaData;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.DeviceCapabilities;
import io.uloop.nbd.NbdTestClient.OptionReply;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** proto.md, "Fixed newstyle negotiation" and "Option types". */
@Timeout(20)
class HandshakeTest {

  private static final int ERR_UNSUP = 1 << 31 | 1;
  private static final int ERR_POLICY = 1 << 31 | 2;
  private static final int ERR_INVALID = 1 << 31 | 3;
  private static final int ERR_UNKNOWN = 1 << 31 | 6;
  private static final int ERR_TOO_BIG = 1 << 31 | 9;
  private static final int ERR_EXT_HEADER_REQD = 1 << 31 | 10;
  private static final byte[] NONE = {};

  private ServerFixture fixture;

  @AfterEach
  void close() throws IOException {
    fixture.close();
  }

  private NbdTestClient hello(Consumer<NbdServerConfig.Builder> settings) throws IOException {
    fixture = new ServerFixture(new MemoryDevice(10_000), settings);
    return fixture.connect().hello();
  }

  private NbdTestClient hello() throws IOException {
    return hello(c -> {});
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 1 << 31, 7})
  void clientFlags_unknown_endTheConnection(int flags) throws IOException {
    fixture = new ServerFixture(new MemoryDevice(10_000));
    NbdTestClient client = fixture.connect().hello(flags);

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void exportName_withoutNoZeroes_sends124Zeroes() throws IOException {
    fixture = new ServerFixture(new MemoryDevice(10_000));
    NbdTestClient client = fixture.connect().hello(1);
    client.sendOption(1, bytes("disk"));

    ByteBuffer reply = client.receive(134);
    assertThat(reply.getLong()).isEqualTo(10_000);
    assertThat(reply.getShort() & 1).isEqualTo(1);
    while (reply.hasRemaining()) {
      assertThat(reply.get()).isZero();
    }
    assertThat(client.read(0, 100)).isEqualTo(fixture.device.slice(0, 100));
  }

  @Test
  void exportName_noZeroes_sendsTenBytes() throws IOException {
    NbdTestClient client = hello();
    client.sendOption(1, bytes("disk"));

    assertThat(client.receive(10).getLong()).isEqualTo(10_000);
    assertThat(client.read(10, 100)).isEqualTo(fixture.device.slice(10, 100));
  }

  @Test
  void exportName_unknown_endsTheConnection() throws IOException {
    NbdTestClient client = hello();
    client.sendOption(1, bytes("nothing"));

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void exportName_afterExtendedHeaders_endsTheConnection() throws IOException {
    NbdTestClient client = hello();
    assertThat(client.outcome(11, NONE)).isEqualTo(1);
    client.sendOption(1, bytes("disk"));

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void abort_always_isAcknowledgedAndEnds() throws IOException {
    NbdTestClient client = hello();

    assertThat(client.outcome(2, bytes("bye"))).isEqualTo(1);
    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void list_severalExports_namesAllWithDescriptions() throws IOException {
    NbdTestClient client = hello(c -> c.export(new NbdExport("other", new MemoryDevice(1))));

    List<OptionReply> replies = client.option(3, NONE);

    assertThat(replies).extracting(OptionReply::type).containsExactly(2, 2, 1);
    assertThat(replies.get(0).data()).isEqualTo(bytes(4, "disk", "a disk"));
    assertThat(replies.get(1).data()).isEqualTo(bytes(5, "other"));
  }

  @Test
  void list_withData_isInvalid() throws IOException {
    assertThat(hello().outcome(3, bytes("x"))).isEqualTo(ERR_INVALID);
  }

  @Test
  void list_switchedOff_isAgainstPolicy() throws IOException {
    assertThat(hello(c -> c.listing(false)).outcome(3, NONE)).isEqualTo(ERR_POLICY);
  }

  @Test
  void list_askedOftenBeforeReading_isAnsweredEachTime() throws IOException {
    String text = "x".repeat(4000);
    NbdTestClient client =
        hello(
            c -> {
              for (int i = 0; i < 250; i++) {
                c.export(new NbdExport("e" + i, new MemoryDevice(1), text));
              }
            });
    for (int i = 0; i < 100; i++) {
      client.sendOption(3, NONE);
    }
    for (int i = 0; i < 100; i++) {
      for (int j = 0; j < 251; j++) {
        assertThat(client.receiveOption().type()).isEqualTo(2);
      }
      assertThat(client.receiveOption().type()).isEqualTo(1);
    }
  }

  @Test
  void startTls_notOffered_isAgainstPolicy() throws IOException {
    assertThat(hello().outcome(5, NONE)).isEqualTo(ERR_POLICY);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 4, 12, 99, -1})
  void option_unknown_isUnsupportedAndSkipped(int option) throws IOException {
    NbdTestClient client = hello();

    assertThat(client.outcome(option, bytes("some data"))).isEqualTo(ERR_UNSUP);
    assertThat(client.outcome(8, NONE)).isEqualTo(1);
  }

  @Test
  void info_allItems_areGiven() throws IOException {
    NbdTestClient client = hello();

    List<OptionReply> replies = client.option(6, infoData("", 0, 1, 2, 3, 77));

    assertThat(replies).extracting(OptionReply::type).containsExactly(3, 3, 3, 3, 1);
    assertThat(replies.get(0).buffer().getLong(2)).isEqualTo(10_000);
    assertThat(replies.get(1).data()).isEqualTo(bytes((short) 1, "disk"));
    assertThat(replies.get(2).data()).isEqualTo(bytes((short) 2, "a disk"));
    assertThat(replies.get(3).data()).isEqualTo(bytes((short) 3, 1, 4096, 32 << 20));
  }

  @Test
  void info_thenGo_givesTheSame() throws IOException {
    NbdTestClient client = hello();

    assertThat(client.option(6, infoData("disk", 3)).get(0).data())
        .isEqualTo(client.option(7, infoData("disk", 3)).get(0).data());
  }

  @Test
  void info_nothingAsked_givesExportOnly() throws IOException {
    assertThat(hello().option(6, infoData("disk")))
        .extracting(OptionReply::type)
        .containsExactly(3, 1);
  }

  @Test
  void info_minimumBlock_isGivenUnasked() throws IOException {
    MemoryDevice device =
        new MemoryDevice(8192)
            .with(new DeviceCapabilities(true, false, false, false, true, 512, 4096));
    fixture = new ServerFixture(device);

    List<OptionReply> replies = fixture.connect().hello().option(6, infoData("disk"));

    assertThat(replies.get(1).data()).isEqualTo(bytes((short) 3, 512, 4096, 32 << 20));
  }

  @Test
  void go_unknownExport_isUnknown() throws IOException {
    assertThat(hello().outcome(7, infoData("nothing"))).isEqualTo(ERR_UNKNOWN);
  }

  @Test
  void go_noNameAndSeveralExports_isUnknownUnlessOneIsTheDefault() throws IOException {
    NbdTestClient client = hello(c -> c.export(new NbdExport("other", new MemoryDevice(1))));
    assertThat(client.outcome(6, infoData(""))).isEqualTo(ERR_UNKNOWN);
    fixture.close();

    client =
        hello(c -> c.export(new NbdExport("other", new MemoryDevice(1))).defaultExport("other"));
    assertThat(client.option(6, infoData("", 1)).get(1).data())
        .isEqualTo(bytes((short) 1, "other"));
  }

  @Test
  void go_malformed_isInvalidAndTheHandshakeGoesOn() throws IOException {
    NbdTestClient client = hello();

    assertThat(client.outcome(7, bytes(100, "disk", (short) 0))).isEqualTo(ERR_INVALID);
    assertThat(client.outcome(7, infoData("disk"))).isEqualTo(1);
  }

  @Test
  void countsAndLengths_thatDoNotFit_areInvalidAndTheHandshakeGoesOn() throws IOException {
    NbdTestClient client = hello();
    client.outcome(8, NONE);
    for (int option : new int[] {6, 7}) {
      for (short infos : new short[] {1, -1, Short.MIN_VALUE}) {
        assertThat(client.outcome(option, bytes(4, "disk", infos))).isEqualTo(ERR_INVALID);
      }
      assertThat(client.outcome(option, bytes(4, "disk", (short) 0, (short) 3)))
          .isEqualTo(ERR_INVALID);
      assertThat(client.outcome(option, bytes(-1, "disk", (short) 0))).isEqualTo(ERR_INVALID);
      assertThat(client.outcome(option, bytes(4))).isEqualTo(ERR_INVALID);
    }
    for (int option : new int[] {9, 10}) {
      for (int queries : new int[] {1, 1 << 31, -1, Integer.MAX_VALUE}) {
        assertThat(client.outcome(option, bytes(4, "disk", queries))).isEqualTo(ERR_INVALID);
      }
      for (int length : new int[] {16, 1 << 31, -1, Integer.MAX_VALUE}) {
        assertThat(client.outcome(option, bytes(4, "disk", 1, length, "base:allocation")))
            .isEqualTo(ERR_INVALID);
      }
    }
    assertThat(client.outcome(7, infoData("disk"))).isEqualTo(1);
  }

  @Test
  void structuredReply_twiceAndWithData_isAcknowledgedAndInvalid() throws IOException {
    NbdTestClient client = hello();

    assertThat(client.outcome(8, bytes("x"))).isEqualTo(ERR_INVALID);
    assertThat(client.outcome(8, NONE)).isEqualTo(1);
    assertThat(client.outcome(8, NONE)).isEqualTo(1);
  }

  @Test
  void extendedHeaders_takePrecedenceOverStructuredReplies() throws IOException {
    NbdTestClient client = hello();

    assertThat(client.outcome(11, bytes("x"))).isEqualTo(ERR_INVALID);
    assertThat(client.outcome(11, NONE)).isEqualTo(1);
    assertThat(client.outcome(8, NONE)).isEqualTo(ERR_EXT_HEADER_REQD);
  }

  @Test
  void listMetaContext_noQuery_namesAll() throws IOException {
    NbdTestClient client = hello();
    client.outcome(8, NONE);

    List<OptionReply> replies = client.option(9, metaData("disk"));

    assertThat(replies).extracting(OptionReply::type).containsExactly(4, 4, 1);
    assertThat(replies.get(0).data()).isEqualTo(bytes(0, "base:allocation"));
    assertThat(replies.get(1).data()).isEqualTo(bytes(0, "x-uloop:cached"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"base:", "base:allocation"})
  void listMetaContext_query_namesWhatMatches(String query) throws IOException {
    assertThat(hello().option(9, metaData("disk", query, "other:thing", "base:other")))
        .extracting(OptionReply::type)
        .containsExactly(4, 1);
  }

  @Test
  void setMetaContext_queries_givesAnIdForEachKnownOne() throws IOException {
    NbdTestClient client = hello();
    client.outcome(8, NONE);

    List<OptionReply> replies =
        client.option(10, metaData("disk", "x-uloop:cached", "base:", "base:allocation", "q:x"));

    assertThat(replies).extracting(OptionReply::type).containsExactly(4, 4, 1);
    assertThat(replies.get(0).buffer().getInt())
        .isNotZero()
        .isNotEqualTo(replies.get(1).buffer().getInt());
  }

  @Test
  void setMetaContext_beforeStructuredReplies_isInvalid() throws IOException {
    assertThat(hello().outcome(10, metaData("disk", "base:allocation"))).isEqualTo(ERR_INVALID);
  }

  @Test
  void metaContext_unknownExportOrMalformed_isAnError() throws IOException {
    NbdTestClient client = hello();
    client.outcome(8, NONE);

    assertThat(client.outcome(9, metaData("nothing"))).isEqualTo(ERR_UNKNOWN);
    assertThat(client.outcome(10, metaData("disk", "no colon"))).isEqualTo(ERR_INVALID);
  }

  @Test
  void setMetaContext_failedSecondTime_forgetsTheFirst() throws IOException {
    NbdTestClient client = hello();
    client.outcome(8, NONE);
    assertThat(client.outcome(10, metaData("disk", "base:allocation"))).isEqualTo(1);
    assertThat(client.outcome(10, metaData("nothing", "base:allocation"))).isEqualTo(ERR_UNKNOWN);
    client.go(0, "disk");
    client.mode = 8;

    assertThat(client.error(0, 7, 0, 4096)).isEqualTo(22);
  }

  @Test
  void option_tooLong_isSkippedWithTooBig() throws IOException {
    NbdTestClient client = hello();

    assertThat(client.outcome(6, new byte[70_000])).isEqualTo(ERR_TOO_BIG);
    assertThat(client.outcome(8, NONE)).isEqualTo(1);
  }

  @Test
  void option_absurdlyLong_endsTheConnection() throws IOException {
    NbdTestClient client = hello();
    client.send(bytes(0x49484156454F5054L, 6, -1));

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void option_wrongMagic_endsTheConnection() throws IOException {
    NbdTestClient client = hello();
    client.send(bytes(0x1234L, 3, 0));

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void options_tooMany_endTheConnection() throws IOException {
    NbdTestClient client = hello(c -> c.limits(NbdLimits.builder().options(3).build()));
    for (int i = 0; i < 3; i++) {
      assertThat(client.outcome(8, NONE)).isEqualTo(1);
    }
    client.sendOption(8, NONE);

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void handshake_tooSlow_endsTheConnection() throws IOException {
    NbdTestClient client =
        hello(c -> c.limits(NbdLimits.builder().handshakeTime(Duration.ofSeconds(1)).build()));

    assertThat(client.isClosed()).isTrue();
  }

  @Test
  void connections_tooMany_areClosedAtOnce() throws IOException {
    NbdTestClient first = hello(c -> c.limits(NbdLimits.builder().connections(1).build()));

    assertThat(fixture.connect().isClosed()).isTrue();
    assertThat(first.outcome(8, NONE)).isEqualTo(1);
  }

  @Test
  void flags_writableDevice_sayWhatItCan() throws IOException {
    fixture = new ServerFixture(new MemoryDevice(10_000));

    int all = 1 | 4 | 8 | 32 | 64 | 256 | 1024 | 2048;
    assertThat(fixture.go(0).flags).isEqualTo(all);
    assertThat(fixture.go(8).flags).isEqualTo(all | 128);
    assertThat(fixture.go(11).flags).isEqualTo(all | 128);
    assertThat(fixture.go(11, "base:allocation").flags).isEqualTo(all | 128 | 4096);
  }

  @Test
  void flags_readOnlyAndRotational_sayNoMore() throws IOException {
    fixture =
        new ServerFixture(
            new MemoryDevice(10_000)
                .with(new DeviceCapabilities(false, false, false, false, true, 1, 4096)));

    assertThat(fixture.go(0).flags).isEqualTo(1 | 2 | 4 | 16 | 256 | 1024);
  }

  @Test
  void handshake_byteByByte_isUnderstood() throws IOException {
    fixture = new ServerFixture(new MemoryDevice(10_000));
    NbdTestClient client = fixture.connect();
    client.receive(18);
    byte[] all =
        bytes(
            3,
            NbdTestClient.optionBytes(8, NONE),
            NbdTestClient.optionBytes(7, infoData("disk")),
            client.requestBytes(0, 0, 5, 1, 10, NONE));
    for (byte one : all) {
      client.send(new byte[] {one});
    }

    assertThat(client.receiveOption().type()).isEqualTo(1);
    assertThat(client.receiveOption().type()).isEqualTo(3);
    assertThat(client.receiveOption().type()).isEqualTo(1);
    assertThat(client.receiveChunk(10).data()).isEqualTo(fixture.device.slice(1, 10));
  }
}
