/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.ReadSink;
import io.uloop.SourceProtocolException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.io.TempDir;

/** Reads that are ended from outside, by a close or because nobody waits any more. */
@Timeout(value = 120, threadMode = ThreadMode.SEPARATE_THREAD)
class HttpCloseTest {

  private static final int ROUNDS = 400;
  private static final int READERS = 8;

  private final ExecutorService readers = Executors.newCachedThreadPool();
  private LyingOrigin origin;
  @TempDir Path dir;

  @BeforeEach
  void open() throws IOException {
    origin = LyingOrigin.serving(new byte[4096]);
  }

  @AfterEach
  void close() throws Exception {
    readers.shutdownNow();
    assertThat(readers.awaitTermination(20, SECONDS)).isTrue();
    origin.close();
  }

  private HttpBlockSource source(int connections) throws IOException {
    return HttpBlockSource.open(config(origin).connections(connections).build());
  }

  private static HttpSourceConfig.Builder config(LyingOrigin origin) {
    HttpSourceConfig.Builder config = HttpSourceConfig.builder(origin.uri());
    config.answerTimeout = Duration.ofSeconds(100);
    return config.timeout(Duration.ofSeconds(100));
  }

  /** At any moment of a request there may be a close; connections are kept and used again. */
  @Test
  void close_whileManyReadALittle_endsThemAsClosed() throws Exception {
    for (int round = 0; round < ROUNDS; round++) {
      HttpBlockSource source = source(READERS);
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
      assertThat(source.connections().leased()).isZero();
      origin.forgetRequests();
    }
    awaitNoConnection();
  }

  // The origin sees that a connection is closed a little later.
  private void awaitNoConnection() {
    while (origin.openConnections() > 0) {
      Thread.onSpinWait();
    }
  }

  /** Has all connections wait for an answer, and more reads than there are connections. */
  private List<Future<?>> readMoreThanItCan(HttpBlockSource source, int more) {
    origin.always(Lie.STALL_HEAD);
    int connections = source.config().mostConnections();
    List<Future<?>> reads = new ArrayList<>();
    for (int i = 0; i < connections + more; i++) {
      reads.add(
          readers.submit(
              () ->
                  assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(16)))
                      .isInstanceOf(ClosedChannelException.class)));
    }
    while (source.connections().leased() < connections + more
        || origin.openConnections() < connections) {
      Thread.onSpinWait();
    }
    return reads;
  }

  @Test
  void close_whileSomeWaitForAConnection_endsThemToo() throws Exception {
    HttpBlockSource source = source(1);
    List<Future<?>> reads = readMoreThanItCan(source, 4);

    source.close();

    for (Future<?> read : reads) {
      read.get(20, SECONDS);
    }
    assertThat(source.connections().leased()).isZero();
  }

  @Test
  void cancel_whileItWaitsForAConnection_endsIt() throws Exception {
    HttpBlockSource source = source(1);
    List<Future<?>> reads = readMoreThanItCan(source, 0);
    int others = source.connections().leased();
    CompletableFuture<Runnable> cancel = new CompletableFuture<>();
    Future<?> read =
        readers.submit(
            () ->
                assertThatThrownBy(() -> source.read(0, 16, new Cancellable(cancel)))
                    .isInstanceOf(InterruptedIOException.class)
                    .hasMessageContaining("cancelled"));
    while (source.connections().leased() == others) {
      Thread.onSpinWait();
    }

    cancel.get(20, SECONDS).run();

    read.get(20, SECONDS);
    assertThat(source.connections().leased()).isEqualTo(others);
    source.close();
    for (Future<?> other : reads) {
      other.get(20, SECONDS);
    }
  }

  /** A connection that comes to somebody who does not want it any more goes back to the pool. */
  @Test
  void send_endedBeforeItBegins_leavesNoConnectionLeased() throws Exception {
    try (HttpBlockSource source = source(1)) {
      Attempt ended = new Attempt(Long.MAX_VALUE);
      ended.abort("enough");
      for (int i = 0; i <= source.config().mostConnections(); i++) {
        assertThatThrownBy(() -> source.origins().primary().send("GET", "bytes=0-15", ended))
            .isInstanceOf(AttemptFailure.class)
            .hasMessageContaining("enough");
      }

      source.read(0, ByteBuffer.allocate(16));

      assertThat(source.connections().leased()).isZero();
    }
  }

  @Test
  void close_connectionGivenBackLater_isNotKept() throws Exception {
    HttpBlockSource source = source(2);
    Origin primary = source.origins().primary();
    Exchange first = primary.send("GET", "bytes=0-15", new Attempt(Long.MAX_VALUE));
    Exchange second = primary.send("GET", "bytes=0-15", new Attempt(Long.MAX_VALUE));

    source.close();
    first.body().readAllBytes();
    first.reuse();

    while (origin.openConnections() > 1) {
      Thread.onSpinWait();
    }
    second.close();
    awaitNoConnection();
  }

  /** The JDK's TLS would read on, and HttpClient have nobody end that. */
  @Test
  void read_overTlsNoHttpAndThenSilence_failsAtOnce() throws Exception {
    TestKeys keys = TestKeys.make(dir, "server");
    try (LyingOrigin tls = LyingOrigin.servingTls(new byte[4096], keys.context(keys), false);
        HttpBlockSource source =
            HttpBlockSource.open(config(tls).caFile(keys.certificate()).build())) {
      tls.always(
          (request, wire) -> {
            wire.text("HTTP/1.1 206 Partial Content\r\nContent-Length: -7\r\n\r\n");
            wire.stall(60_000);
          });
      Future<?> read =
          readers.submit(
              () ->
                  assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(16)))
                      .isInstanceOf(SourceProtocolException.class));

      read.get(20, SECONDS);
    }
  }

  /** HttpClient would say "cancelled", as which it would count against the server. */
  @Test
  void interruptedBefore_readAndOpenSaySo() throws Exception {
    try (HttpBlockSource source = source(1)) {
      for (int i = 0; i < 5; i++) {
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(16)))
            .isInstanceOf(InterruptedIOException.class);
        assertThat(Thread.interrupted()).isTrue();
      }
      assertThat(source.origins().primary().circuit().nanosUntilAdmission()).isZero();

      Thread.currentThread().interrupt();
      assertThatThrownBy(() -> source(1)).isInstanceOf(InterruptedIOException.class);
      assertThat(Thread.interrupted()).isTrue();
    }
  }

  private record Cancellable(CompletableFuture<Runnable> cancel) implements ReadSink {
    @Override
    public void accept(ByteBuffer piece) {
      throw new AssertionError("nothing was sent");
    }

    @Override
    public void onCancel(Runnable action) {
      cancel.complete(action);
    }
  }
}
