/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** A system that allows no more threads. */
@Timeout(30)
class FetcherTest {

  private static final int BLOCK = 4096;
  private static final long BLOCKS = 64;

  @RegisterExtension final Guard guard = new Guard();

  private PairFiles files;
  private FetchTable table;
  private final AtomicInteger allowed = new AtomicInteger();
  private final LinkedBlockingQueue<Long> begun = new LinkedBlockingQueue<>();
  private final CountDownLatch goOn = new CountDownLatch(1);
  private Fetcher fetcher;

  @BeforeEach
  void open() throws Exception {
    Path dir = Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
    CachePair pair = new CachePair(dir.resolve("fetcher-c"), dir.resolve("fetcher-b"));
    files =
        new PairOpener(new MemoryStorage(), pair, false, WhenDifferent.FAIL)
            .open(new io.uloop.SourceIdentity("memory:", BLOCKS * BLOCK, Optional.empty()), BLOCK);
    BlockStore store = new BlockStore(files, null, () -> {});
    FetchUnit unit = new FetchUnit(1, 1, store.present(), new Counters());
    table = new FetchTable(store, new FetchPlanner.Shape(unit, 1, 1, 0), 8);
    fetcher =
        new Fetcher(
            table,
            () -> this::run,
            work ->
                new Thread(work, "uloop-fetch-test") {
                  @Override
                  public void start() {
                    if (allowed.getAndDecrement() <= 0) {
                      throw new OutOfMemoryError("unable to create native thread");
                    }
                    super.start();
                  }
                });
  }

  /** The last thing in a test: nothing may be left when it ends. */
  private void close() throws Exception {
    goOn.countDown();
    table.close();
    assertThat(fetcher.awaitEnd(10, TimeUnit.SECONDS, thread -> false)).isTrue();
    files.close();
  }

  private void run(Fetch fetch) {
    begun.add(fetch.next);
    try {
      goOn.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    table.landed(fetch, fetch.end, new ArrayList<>());
    table.ended(fetch);
  }

  private void want(long block) {
    PendingRead read = new PendingRead(block * BLOCK, ByteBuffer.allocate(BLOCK), failure -> {});
    table.plan(read, block, block + 1, new ArrayList<>(), FetchTable.Want.EXACT, () -> {});
  }

  @Test
  void noThreadAtAll_isToldAndTheNextOneTakesTheWork() throws Exception {
    want(3);
    assertThatThrownBy(fetcher::wake).isInstanceOf(OutOfMemoryError.class);

    allowed.set(1);
    fetcher.wake();

    assertThat(begun.take()).isEqualTo(3);
    close();
  }

  @Test
  void fewerThreadsThanFetches_thoseDoTheWork() throws Exception {
    guard.expectWarnings("fewer threads");
    allowed.set(1);
    want(3);
    fetcher.wake();
    begun.take();
    want(5);
    fetcher.wake();
    want(7);
    fetcher.wake();
    assertThat(guard.warnings()).hasSize(1);
    goOn.countDown();

    assertThat(begun.take()).isEqualTo(5);
    assertThat(begun.take()).isEqualTo(7);
    close();
  }

  @Test
  void threadsThatHaveNotComeYet_areNotStartedTwice() throws Exception {
    allowed.set(8);
    want(3);
    fetcher.wake();
    fetcher.wake();
    fetcher.wake();
    begun.take();

    assertThat(allowed).hasValue(7);
    close();
  }
}
