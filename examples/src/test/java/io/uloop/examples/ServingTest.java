/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.DeviceTransport.Attachment;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How what is served comes to its end. */
@Timeout(60)
class ServingTest {

  private static final int ROUNDS = 300;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  private Serving serving() {
    return new Serving(
        "ulohttp", new PrintStream(out, true, UTF_8), new PrintStream(err, true, UTF_8));
  }

  /** A device whose write-back fails at the detach. */
  private static final class LosingAttachment implements Attachment {
    private final CountDownLatch detached = new CountDownLatch(1);

    @Override
    public String place() {
      return "a place";
    }

    @Override
    public void await() throws InterruptedException, IOException {
      detached.await();
      close();
    }

    @Override
    public void close() throws IOException {
      detached.countDown();
      throw new IOException("detached, but what was written is lost");
    }
  }

  @Test
  void await_detachedBySignalInVain_isAlwaysOneAndOneLine() throws Exception {
    for (int i = 0; i < ROUNDS; i++) {
      err.reset();
      try (Serving serving = serving()) {
        LosingAttachment attachment = new LosingAttachment();
        serving.ready(attachment, 0);
        CompletableFuture<Void> signal =
            CompletableFuture.runAsync(() -> serving.requestStop(attachment));

        assertThat(serving.await()).isEqualTo(LaunchCommand.EXIT_FAILURE);
        assertThat(err.toString(UTF_8).lines())
            .containsExactly("ulohttp: detached, but what was written is lost");
        signal.get(10, TimeUnit.SECONDS);
      }
    }
  }
}
