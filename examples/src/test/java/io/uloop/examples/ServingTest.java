/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.BlockDevice;
import io.uloop.DeviceInUseException;
import io.uloop.DeviceTransport.Attachment;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
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

  /** Counted down when the device is closed. */
  private final CountDownLatch closed = new CountDownLatch(1);

  private Serving serving() {
    Serving serving =
        new Serving(
            "ulohttp", new PrintStream(out, true, UTF_8), new PrintStream(err, true, UTF_8));
    serving.device(device(closed));
    return serving;
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
        serving.attach("a place", false, () -> attachment);
        CompletableFuture<Void> signal = CompletableFuture.runAsync(serving::stopAsked);

        assertThat(serving.await()).isEqualTo(LaunchCommand.EXIT_FAILURE);
        assertThat(err.toString(UTF_8).lines())
            .containsExactly("ulohttp: detached, but what was written is lost");
        signal.get(10, TimeUnit.SECONDS);
      }
    }
  }

  /** A device that is attached, and used by somebody or not. */
  private static final class UsedAttachment implements Attachment {
    private final CountDownLatch detached = new CountDownLatch(1);
    private final boolean used;
    private boolean refused;

    UsedAttachment(boolean used) {
      this.used = used;
    }

    @Override
    public String place() {
      return "a place";
    }

    @Override
    public void await() throws InterruptedException {
      detached.await();
    }

    @Override
    public void close() throws IOException {
      if (used && !refused) {
        refused = true;
        throw new DeviceInUseException("in use");
      }
      detached.countDown();
    }
  }

  /** Tells of its close; all else fails. */
  private static BlockDevice device(CountDownLatch closed) {
    return (BlockDevice)
        Proxy.newProxyInstance(
            BlockDevice.class.getClassLoader(),
            new Class<?>[] {BlockDevice.class},
            (proxy, method, arguments) -> {
              assertThat(method.getName()).isEqualTo("close");
              closed.countDown();
              return null;
            });
  }

  private static void await(CountDownLatch latch) {
    try {
      assertThat(latch.await(10, TimeUnit.SECONDS)).isTrue();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void stopAsked_whileAttaching_hastensTheAttachAndDetaches() throws Exception {
    UsedAttachment attachment = new UsedAttachment(false);
    try (Serving serving = serving()) {
      assertThat(
              serving.attach(
                  "a place",
                  false,
                  () -> {
                    CompletableFuture.runAsync(serving::stopAsked);
                    await(closed); // As the kernel waits for its first sectors.
                    return attachment;
                  }))
          .isEmpty();
      assertThat(attachment.detached.getCount()).isZero();
      assertThat(serving.await()).isEqualTo(LaunchCommand.EXIT_OK);
      assertThat(err.toString(UTF_8)).isEmpty();
    }
  }

  @Test
  void stopAsked_whileAttaching_isNoFailureIfTheAttachFailsOfIt() throws Exception {
    try (Serving serving = serving()) {
      assertThat(
              serving.attach(
                  "a place",
                  false,
                  () -> {
                    serving.stopAsked();
                    throw new IOException("its first sectors cannot be read");
                  }))
          .isEmpty();
      assertThat(serving.await()).isEqualTo(LaunchCommand.EXIT_OK);
      assertThat(err.toString(UTF_8)).isEmpty();
    }
  }

  @Test
  void stopAsked_whileTakingOverWhatIsInUse_staysAttachedAndReadable() throws Exception {
    UsedAttachment attachment = new UsedAttachment(true);
    try (Serving serving = serving()) {
      assertThat(
              serving.attach(
                  "a place",
                  true,
                  () -> {
                    serving.stopAsked();
                    return attachment;
                  }))
          .contains(attachment);
      assertThat(closed.getCount()).isOne();
      assertThat(err.toString(UTF_8).lines()).containsExactly("ulohttp: in use");
      serving.stopAsked();
      assertThat(serving.await()).isEqualTo(LaunchCommand.EXIT_OK);
    }
  }

  @Test
  void stopAsked_twiceWhileTakingOver_forces() throws Exception {
    UsedAttachment attachment = new UsedAttachment(true);
    try (Serving serving = serving()) {
      assertThat(
              serving.attach(
                  "a place",
                  true,
                  () -> {
                    serving.stopAsked();
                    serving.stopAsked();
                    await(closed);
                    return attachment;
                  }))
          .isEmpty();
      assertThat(attachment.detached.getCount()).isZero();
      assertThat(serving.await()).isEqualTo(LaunchCommand.EXIT_OK);
    }
  }
}
