/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.SourceOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A close that comes at any moment of many small reads. */
@Timeout(120)
class HttpCloseTest {

  private static final int ROUNDS = 400;
  private static final int READERS = 8;

  @Test
  void close_whileManyReadALittle_endsThemAsClosed() throws Exception {
    ExecutorService readers = Executors.newFixedThreadPool(READERS);
    try (LyingOrigin origin = LyingOrigin.serving(new byte[4096])) {
      for (int round = 0; round < ROUNDS; round++) {
        BlockSource source = new HttpSourceProvider().open(origin.uri(), SourceOptions.defaults());
        CountDownLatch running = new CountDownLatch(READERS);
        List<Future<?>> ends = new ArrayList<>();
        for (int i = 0; i < READERS; i++) {
          ends.add(
              readers.submit(
                  () ->
                      assertThatThrownBy(
                              () -> {
                                while (true) {
                                  source.read(0, ByteBuffer.allocate(16));
                                  running.countDown();
                                }
                              })
                          .isInstanceOf(ClosedChannelException.class)));
        }
        assertThat(running.await(20, SECONDS)).isTrue();

        source.close();

        for (Future<?> end : ends) {
          end.get(20, SECONDS);
        }
        origin.forgetRequests();
      }
    } finally {
      readers.shutdownNow();
      assertThat(readers.awaitTermination(20, SECONDS)).isTrue();
    }
  }
}
