/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.text.MessageFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Clients for which there is no room cannot fill the log. */
@Timeout(30)
class ConnectionLimitTest {

  private static final Logger LOGGER = Logger.getLogger(NbdServer.class.getName());

  private final List<String> lines = new CopyOnWriteArrayList<>();
  private final Handler recorder =
      new Handler() {
        @Override
        public void publish(LogRecord record) {
          lines.add(MessageFormat.format(record.getMessage(), record.getParameters()));
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };

  @BeforeEach
  void record() {
    LOGGER.setUseParentHandlers(false);
    LOGGER.addHandler(recorder);
  }

  @AfterEach
  void recordNoMore() {
    LOGGER.removeHandler(recorder);
    LOGGER.setUseParentHandlers(true);
  }

  @Test
  void refusals_areSaidOnceAndCountedWhenThereIsRoom() throws IOException {
    try (ServerFixture fixture =
        new ServerFixture(
            new MemoryDevice(100_000),
            config -> config.limits(NbdLimits.builder().connections(1).build()))) {
      try (NbdTestClient first = NbdTestClient.connect(fixture.server)) {
        first.hello();
        refuse(fixture, 50);
        assertThat(lines).containsExactly("too many connections; more are refused: limit=1");
      }
      ServerFixture.await("there is room", () -> fixture.server.connections() == 0);
      try (NbdTestClient second = NbdTestClient.connect(fixture.server)) {
        second.hello();
        refuse(fixture, 50);
      }
      assertThat(lines)
          .containsExactly(
              "too many connections; more are refused: limit=1",
              "connections that were refused: 50");
    }
  }

  private static void refuse(ServerFixture fixture, int count) throws IOException {
    for (int i = 0; i < count; i++) {
      try (NbdTestClient client = NbdTestClient.connect(fixture.server)) {
        assertThatThrownBy(client::hello).isInstanceOf(IOException.class);
      }
    }
  }
}
