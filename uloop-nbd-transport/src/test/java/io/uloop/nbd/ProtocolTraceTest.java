/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Plays the sessions of {@code traces.txt}, every byte of which is as the text draws it. */
@Timeout(20)
class ProtocolTraceTest {

  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|([0-9a-f]+)(?:\\*([0-9]+))?");

  /** A session of the file: its heading, and its lines. */
  record Trace(String heading, List<String> lines) {
    @Override
    public String toString() {
      return heading;
    }
  }

  static Stream<Trace> traces() throws IOException {
    List<Trace> traces = new ArrayList<>();
    try (InputStream in = ProtocolTraceTest.class.getResourceAsStream("traces.txt")) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      for (String line : text.split("\n", -1)) {
        if (line.startsWith("= ")) {
          traces.add(new Trace(line.substring(2), new ArrayList<>()));
        } else if (!line.isBlank() && !line.startsWith("#")) {
          traces.get(traces.size() - 1).lines.add(line);
        }
      }
    }
    return traces.stream();
  }

  private static byte[] bytes(String words) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    Matcher word = WORD.matcher(words);
    while (word.find()) {
      if (word.group(1) != null) {
        bytes.writeBytes(word.group(1).getBytes(StandardCharsets.US_ASCII));
      } else {
        int times = word.group(3) == null ? 1 : Integer.parseInt(word.group(3));
        for (int i = 0; i < times; i++) {
          bytes.writeBytes(HexFormat.of().parseHex(word.group(2)));
        }
      }
    }
    return bytes.toByteArray();
  }

  @ParameterizedTest
  @MethodSource("traces")
  void trace_played_isAnsweredByteForByte(Trace trace) throws IOException {
    MemoryDevice device = new MemoryDevice(16_384);
    Arrays.fill(device.content, 0, 4096, (byte) 'A');
    Arrays.fill(device.content, 8192, 16_384, (byte) 'B');
    device.hole(4096, 8192);
    try (ServerFixture fixture = new ServerFixture(device)) {
      NbdTestClient client = fixture.connect();
      for (String line : trace.lines) {
        boolean sent = line.startsWith("C ");
        String words = line.substring(2);
        if (words.equals("end")) {
          if (sent) {
            ((SocketChannel) client.channel()).shutdownOutput();
          } else {
            assertThat(client.isClosed()).as("the stream ends").isTrue();
          }
        } else if (sent) {
          client.send(bytes(words));
        } else {
          byte[] expected = bytes(words);
          byte[] given = new byte[expected.length];
          client.receive(expected.length).get(given);
          assertThat(HexFormat.of().formatHex(given))
              .as(line)
              .isEqualTo(HexFormat.of().formatHex(expected));
        }
      }
    }
  }
}
