/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What is begun for a miss that reaches further than the unit. */
@Timeout(60)
class FetchTableReachTest {

  private static final int BLOCK = 512;
  private static final long BLOCKS = 500;
  private static final long UNIT = 4;
  private static final long WIDE = 64;
  private static final long FETCH = 16;

  private PairFiles files;
  private BlockStore store;
  private FetchTable table;

  @BeforeEach
  void openTableWhereReachingPays() throws Exception {
    Path dir = Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
    CachePair pair = new CachePair(dir.resolve("reach-c"), dir.resolve("reach-b"));
    files =
        new PairOpener(new MemoryStorage(), pair, false, WhenDifferent.FAIL)
            .open(new io.uloop.SourceIdentity("memory:", BLOCKS * BLOCK, Optional.empty()), BLOCK);
    store = new BlockStore(files, null, () -> {});
    Counters counters = new Counters();
    FetchUnit unit = new FetchUnit(UNIT, WIDE, store.present(), counters);
    for (int i = 0; i < 16; i++) {
      counters.savedReads.add(2);
      unit.reach(0);
    }
    table = new FetchTable(store, new FetchPlanner.Shape(unit, FETCH, FETCH, 1), 8);
  }

  @AfterEach
  void close() throws Exception {
    table.close();
    files.close();
  }

  private void miss(long block) {
    PendingRead read = new PendingRead(block * BLOCK, ByteBuffer.allocate(BLOCK), failure -> {});
    table.plan(read, block, block + 1, new ArrayList<>(), FetchTable.Want.DEMAND, () -> {});
  }

  /** Takes the fetches that are queued, in the order in which workers would. */
  private List<String> taken() throws InterruptedException {
    List<String> taken = new ArrayList<>();
    for (Fetch f; (f = table.take(0, TimeUnit.NANOSECONDS, false)) != null; ) {
      taken.add(f.next + "-" + f.end + (f.background ? " later" : ""));
    }
    return taken;
  }

  @Test
  void readerWaitsForItsOwnFetch_theRestComesInTheBackground() throws Exception {
    miss(101);

    assertThat(taken())
        .containsExactly("100-112", "64-80 later", "80-96 later", "96-100 later", "112-128 later");
  }

  @Test
  void whatIsThereOrComing_endsIt() throws Exception {
    store.present().set(90, 91);
    store.present().set(120, 121);
    miss(101);

    assertThat(taken()).containsExactly("100-112", "91-100 later", "112-120 later");
  }

  @Test
  void endOfTheDevice_endsIt() throws Exception {
    miss(BLOCKS - 1);

    assertThat(taken())
        .containsExactly("496-500", "448-464 later", "464-480 later", "480-496 later");
  }

  @Test
  void asLongAsSomethingReachedForWaits_aMissReachesNoFurther() throws Exception {
    miss(101);
    miss(300);

    assertThat(taken()).contains("300-304").doesNotContain("256-272 later", "304-320 later");
  }
}
