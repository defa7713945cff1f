/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Ranges that are fetched in the background, as large as they may be. */
class PrefetchTest {

  private static final int BLOCK = 1 << 20;
  private static final long BLOCKS = 1 << 24;
  private static final int WORKERS = 8;

  private PairFiles files;
  private BlockStore store;
  private FetchTable table;

  @BeforeEach
  void openTableOf16Tebibytes() throws Exception {
    Path dir = Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
    CachePair pair = new CachePair(dir.resolve("prefetch-c"), dir.resolve("prefetch-b"));
    files =
        new PairOpener(new MemoryStorage(), pair, false, WhenDifferent.FAIL)
            .open(new io.uloop.SourceIdentity("memory:", BLOCKS * BLOCK, Optional.empty()), BLOCK);
    store = new BlockStore(files, null, () -> {});
    FetchUnit unit = new FetchUnit(1, 1, store.present(), new Counters());
    table = new FetchTable(store, new FetchPlanner.Shape(unit, 1, 1, 0), WORKERS);
  }

  @AfterEach
  void close() throws Exception {
    table.close();
    files.close();
  }

  private Fetch take() throws InterruptedException {
    return table.take(0, TimeUnit.NANOSECONDS, false);
  }

  private void land(Fetch fetch) {
    store.present().set(fetch.next, fetch.end);
    table.landed(fetch, fetch.end, new ArrayList<>());
    table.ended(fetch);
  }

  @Test
  void wholeDevice_takesNoMoreMemoryThanALittleOfIt() throws Exception {
    for (int i = 0; i < 10_000; i++) {
      table.prefetch(0, BLOCKS);
    }

    assertThat(table.backgroundCount()).isLessThanOrEqualTo(64);

    for (long block = 0; block < 1000; block++) {
      Fetch fetch = take();
      assertThat(fetch.next).isEqualTo(block);
      assertThat(fetch.background).isTrue();
      land(fetch);
      assertThat(table.backgroundCount()).isLessThanOrEqualTo(64);
    }
  }

  @Test
  void severalRanges_areAllFetchedInTheirOrder() throws Exception {
    store.present().set(1010, 1015);
    table.prefetch(1000, 1100);
    table.prefetch(5, 6);
    table.prefetch(BLOCKS - 100, BLOCKS);

    for (int n = 0; n < 95 + 1 + 100; n++) {
      land(take());
    }

    assertThat(take()).isNull();
    assertThat(store.present().all(1000, 1100)).isTrue();
    assertThat(store.present().all(5, 6)).isTrue();
    assertThat(store.present().all(BLOCKS - 100, BLOCKS)).isTrue();
  }

  @Test
  void demand_comesFirstAndBackgroundWorkNeverHasTheLastWorkers() throws Exception {
    table.prefetch(0, BLOCKS);
    for (int n = 0; n < WORKERS - 2; n++) {
      assertThat(take().background).isTrue();
    }
    assertThat(take()).as("for one of the last two workers").isNull();
    long far = BLOCKS / 2;
    PendingRead read = new PendingRead(far * BLOCK, ByteBuffer.allocate(1), failure -> {});
    table.plan(read, far, far + 1, new ArrayList<>(), FetchTable.Want.DEMAND, () -> {});

    assertThat(take().next).isEqualTo(far);
  }

  @Test
  void manySmallRangesInARow_areAllFetched() throws Exception {
    for (long block = 0; block < 100_000; block++) {
      table.prefetch(block, block + 1);
    }

    for (long block = 0; block < 100_000; block++) {
      land(take());
    }
    assertThat(take()).isNull();
    assertThat(store.present().all(0, 100_000)).isTrue();
  }

  @Test
  void everyOtherBlockPresent_queuesNoMoreThanElse() throws Exception {
    for (long block = 0; block < 100_000; block += 2) {
      store.present().set(block, block + 1);
    }
    table.prefetch(0, 100_000);

    for (long block = 1; block < 100_000; block += 2) {
      assertThat(table.backgroundCount()).isLessThanOrEqualTo(64);
      Fetch fetch = take();
      assertThat(fetch.next).isEqualTo(block);
      land(fetch);
    }
    assertThat(take()).isNull();
  }

  @Test
  void whatIsBeingEvicted_isFetchedAfterwards() throws Exception {
    assertThat(table.evict(10, 20)).isTrue();
    table.prefetch(5, 25);
    for (int n = 0; n < 5; n++) {
      land(take());
    }
    assertThat(take()).isNull();

    table.evicted(10);

    for (int n = 0; n < 15; n++) {
      land(take());
    }
    assertThat(store.present().all(5, 25)).isTrue();
  }

  @Test
  void dropped_isForgotten() throws Exception {
    table.prefetch(0, BLOCKS);
    table.dropWishes();
    for (int n = 0; n < 64; n++) {
      land(take());
    }

    assertThat(take()).isNull();
    assertThat(table.backgroundCount()).isZero();
  }
}
