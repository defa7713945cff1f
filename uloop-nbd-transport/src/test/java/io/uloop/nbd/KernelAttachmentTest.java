/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Letting go of a device that the kernel does not let go of well; /dev/null stands in for it. */
@Timeout(30)
class KernelAttachmentTest {

  private static final int ROUNDS = 100;
  private static final String LOST = "/dev/null: detached, but: what was written is lost";

  private final Logger settings = Logger.getLogger("io.uloop.nbd.KernelDevice");

  /** A device that is detached already, whose write-back failed. */
  private static final class LosingBinding implements KernelBinding {
    private final KernelDevice device;

    LosingBinding(KernelDevice device) {
      this.device = device;
    }

    @Override
    public KernelDevice device() {
      return device;
    }

    @Override
    public boolean attached() {
      return false;
    }

    @Override
    public void end(NativeFd open) {}

    @Override
    public boolean awaitFree(Duration limit) throws IOException {
      throw new IOException("what was written is lost");
    }
  }

  /** A device that somebody detached, or whose helper is dead. */
  private static final class GoneBinding implements KernelBinding {
    private final KernelDevice device;
    private final Optional<String> broken;

    GoneBinding(KernelDevice device, Optional<String> broken) {
      this.device = device;
      this.broken = broken;
    }

    @Override
    public KernelDevice device() {
      return device;
    }

    @Override
    public boolean attached() {
      return false;
    }

    @Override
    public Optional<String> broken() {
      return broken;
    }

    @Override
    public void end(NativeFd open) {}

    @Override
    public boolean awaitFree(Duration limit) {
      return true;
    }
  }

  @BeforeEach
  void noQueueToSetUp() {
    settings.setLevel(Level.SEVERE);
  }

  @AfterEach
  void warnAgain() {
    settings.setLevel(null);
  }

  private static KernelDevice device() throws IOException {
    return new KernelDevice(NativeCalls.load(), "null");
  }

  private static KernelAttachment attach() throws IOException {
    return attach(new LosingBinding(device()));
  }

  private static KernelAttachment attach(KernelBinding binding) throws IOException {
    return KernelAttachment.of(
        binding, KernelSettings.of(Map.of("partition-scan", "false"), true), () -> {});
  }

  @Test
  void await_whileAnotherThreadDetachesInVain_alwaysHearsOfIt() throws Exception {
    for (int i = 0; i < ROUNDS; i++) {
      KernelAttachment attachment = attach();
      CompletableFuture<Void> closing =
          CompletableFuture.runAsync(
              () ->
                  assertThatThrownBy(attachment::close)
                      .isInstanceOf(IOException.class)
                      .hasMessage(LOST));

      assertThatThrownBy(attachment::await).isInstanceOf(IOException.class).hasMessage(LOST);
      closing.get(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void close_again_reportsTheSame() throws IOException {
    KernelAttachment attachment = attach();

    assertThatThrownBy(attachment::close).hasMessage(LOST);
    assertThatThrownBy(attachment::close).hasMessage(LOST);
  }

  @Test
  void await_detachedFromOutside_ends() throws Exception {
    attach(new GoneBinding(device(), Optional.empty())).await();
  }

  @Test
  void await_broken_isAFailureForEverybody() throws Exception {
    KernelAttachment attachment = attach(new GoneBinding(device(), Optional.of("it has ended")));
    String expected = "/dev/null: detached, but: it has ended";

    assertThatThrownBy(attachment::await).isInstanceOf(IOException.class).hasMessage(expected);
    assertThatThrownBy(attachment::await).hasMessage(expected);
    assertThatThrownBy(attachment::close).hasMessage(expected);
  }

  /** Who stops a service may stop all its processes, in any order. */
  @Test
  void close_brokenBeforeAnybodySawIt_isAStop() throws Exception {
    KernelAttachment attachment = attach(new GoneBinding(device(), Optional.of("it has ended")));

    attachment.close();
    attachment.await();
  }
}
