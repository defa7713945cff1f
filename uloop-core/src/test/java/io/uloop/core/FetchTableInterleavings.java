/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import io.uloop.SourceIdentity;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.LLL_Result;
import org.openjdk.jcstress.infra.results.LL_Result;
import org.openjdk.jcstress.infra.results.ZL_Result;

/** What threads that meet at the table of fetches may see; run by {@link InterleavingTest}. */
public class FetchTableInterleavings {

  private static final int BLOCK = 512;
  private static final int BLOCKS = 16;
  private static final Geometry GEOMETRY = new Geometry(BLOCKS * BLOCK, BLOCK);
  private static final Path DIR = Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
  private static final CachePair PAIR = new CachePair(DIR.resolve("c"), DIR.resolve("b"));

  // One pair of files for all states: making one for each would leave no time for the meetings.
  private static final Storage STORAGE = new MemoryStorage();
  private static final PairLock CACHE = open(PAIR.cacheFile(), GEOMETRY.cacheFileBytes());
  private static final PairLock BITMAP = open(PAIR.bitmapFile(), GEOMETRY.bitmapFileBytes());
  private static final Sidecar SIDECAR =
      new Sidecar(
          new SourceIdentity("memory:", BLOCKS * BLOCK, Optional.empty()),
          BLOCK,
          "",
          false,
          Optional.empty(),
          "");

  private FetchTableInterleavings() {}

  private static PairLock open(Path path, long bytes) {
    try {
      PairLock opened = PairLock.open(STORAGE, path, Storage.Mode.CREATE);
      opened.file().setSize(bytes);
      return opened;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static PairFiles files() {
    PagedBits none = new PagedBits(BLOCKS);
    return new PairFiles(STORAGE, PAIR, GEOMETRY, CACHE, BITMAP, null, none, true, SIDECAR);
  }

  /** A table over an empty store, and reads of its first block. */
  private static class Table {
    final BlockStore store = new BlockStore(files(), null, () -> {});
    final FetchTable table =
        new FetchTable(
            store,
            new FetchPlanner.Shape(
                new FetchUnit(1, 1, new PagedBits(BLOCKS), new Counters()), BLOCKS, BLOCKS, 0),
            4);
    final AtomicInteger completed = new AtomicInteger();
    final AtomicInteger failed = new AtomicInteger();
    final AtomicInteger later = new AtomicInteger();

    FetchTable.Outcome plan() {
      PendingRead read =
          new PendingRead(
              0,
              ByteBuffer.allocate(BLOCK),
              failure -> (failure == null ? completed : failed).incrementAndGet());
      FetchTable.Outcome outcome =
          table.plan(
              read,
              0,
              1,
              new ArrayList<>(1),
              FetchTable.Want.DEMAND,
              () -> {
                later.incrementAndGet();
                read.partDone();
              });
      if (outcome == FetchTable.Outcome.CLOSED) {
        read.fail(new IOException("closed"));
      }
      read.partDone();
      return outcome;
    }

    Fetch take() {
      try {
        return table.take(0, TimeUnit.SECONDS, false);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }

    /** Lands the first block, as a worker does, and ends the fetch. */
    void land(Fetch fetch) {
      try {
        store.new Writer(1).store(0, ByteBuffer.allocate(BLOCK).put(0, (byte) 1));
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      List<Fetch.Part> touched = new ArrayList<>();
      table.landed(fetch, 1, touched);
      touched.forEach(part -> part.read().partDone());
      table.ended(fetch).forEach(part -> part.read().fail(new IOException("left")));
    }

    /** What workers would still do. */
    int runAll() {
      int fetches = 0;
      for (Fetch fetch; (fetch = take()) != null; fetches++) {
        land(fetch);
      }
      return fetches;
    }
  }

  /** Two readers of one absent block: one begins its fetch, the other joins it. */
  @JCStressTest
  @Outcome(id = "BEGUN, JOINED, 1 2", expect = ACCEPTABLE)
  @Outcome(id = "JOINED, BEGUN, 1 2", expect = ACCEPTABLE)
  @Outcome(expect = FORBIDDEN, desc = "fetched twice, or a reader was forgotten")
  @State
  public static class TwoReaders extends Table {
    @Actor
    public void first(LLL_Result r) {
      r.r1 = plan();
    }

    @Actor
    public void second(LLL_Result r) {
      r.r2 = plan();
    }

    @Arbiter
    public void after(LLL_Result r) {
      r.r3 = runAll() + " " + completed.get();
    }
  }

  /** A reader that comes while the block lands is answered, without another fetch. */
  @JCStressTest
  @Outcome(id = "READY, 0 2 0", expect = ACCEPTABLE)
  @Outcome(id = "JOINED, 0 2 0", expect = ACCEPTABLE)
  @Outcome(expect = FORBIDDEN, desc = "a reader was forgotten, or the block fetched again")
  @State
  public static class ReaderAndLanding extends Table {
    private final Fetch fetch;

    public ReaderAndLanding() {
      plan();
      fetch = take();
    }

    @Actor
    public void worker() {
      land(fetch);
    }

    @Actor
    public void reader(LL_Result r) {
      r.r1 = plan();
    }

    @Arbiter
    public void after(LL_Result r) {
      r.r2 = runAll() + " " + completed.get() + " " + failed.get();
    }
  }

  /** A reader that comes while a fetch fails fails with it, or begins another. */
  @JCStressTest
  @Outcome(id = "JOINED, 0 0 2", expect = ACCEPTABLE, desc = "failed with it")
  @Outcome(id = "BEGUN, 1 1 1", expect = ACCEPTABLE, desc = "came after")
  @Outcome(expect = FORBIDDEN, desc = "a reader was forgotten")
  @State
  public static class ReaderAndFailure extends Table {
    private final Fetch fetch;

    public ReaderAndFailure() {
      plan();
      fetch = take();
    }

    @Actor
    public void worker() {
      table.ended(fetch).forEach(part -> part.read().fail(new IOException("down")));
    }

    @Actor
    public void reader(LL_Result r) {
      r.r1 = plan();
    }

    @Arbiter
    public void after(LL_Result r) {
      r.r2 = runAll() + " " + completed.get() + " " + failed.get();
    }
  }

  /** A reader and an eviction: the reader came first, or is told to plan again afterwards. */
  @JCStressTest
  @Outcome(id = "true, READY 1 0", expect = ACCEPTABLE, desc = "read, then evicted")
  @Outcome(id = "true, LATER 1 1", expect = ACCEPTABLE, desc = "planned again after it")
  @Outcome(expect = FORBIDDEN)
  @State
  public static class ReaderAndEviction extends Table {
    private FetchTable.Outcome outcome;

    public ReaderAndEviction() {
      plan();
      runAll();
      completed.set(0);
    }

    @Actor
    public void evictor(ZL_Result r) {
      r.r1 = table.evict(0, 1);
    }

    @Actor
    public void reader() {
      outcome = plan();
    }

    @Arbiter
    public void after(ZL_Result r) {
      table.evicted(0).forEach(Runnable::run);
      r.r2 = outcome + " " + completed.get() + " " + later.get();
    }
  }

  /** A close while a reader plans: the reader is refused, or its part is handed back. */
  @JCStressTest
  @Outcome(id = "BEGUN, 1", expect = ACCEPTABLE)
  @Outcome(id = "CLOSED, 1", expect = ACCEPTABLE)
  @Outcome(expect = FORBIDDEN, desc = "a reader was forgotten")
  @State
  public static class ReaderAndClose extends Table {
    @Actor
    public void closer() {
      table.close().parts().forEach(part -> part.read().fail(new IOException("closed")));
    }

    @Actor
    public void reader(LL_Result r) {
      r.r1 = plan();
    }

    @Arbiter
    public void after(LL_Result r) {
      r.r2 = failed.get();
    }
  }
}
