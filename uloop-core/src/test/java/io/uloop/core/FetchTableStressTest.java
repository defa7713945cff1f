/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.TestSeed;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Many threads on the bits and on the in-flight table, without a device around them.
 *
 * <p>The table's own invariant is asserted by itself at the ends of its critical sections.
 */
@Timeout(60)
class FetchTableStressTest {

  private static final int THREADS = 6;
  private static final long NANOS = TimeUnit.MILLISECONDS.toNanos(1500);

  private final Random random = TestSeed.random("FetchTableStressTest");

  private interface Work {
    void run(Random own, int thread) throws Exception;
  }

  private void inThreads(Work work) throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    List<Future<?>> all = new ArrayList<>();
    for (int t = 0; t < THREADS; t++) {
      long seed = random.nextLong();
      int thread = t;
      all.add(
          threads.submit(
              () -> {
                work.run(new Random(seed), thread);
                return null;
              }));
    }
    threads.shutdown();
    for (Future<?> each : all) {
      each.get();
    }
  }

  @Test
  void bits_setAndClearedByManyThreads_countEachChangeOnce() throws Exception {
    int size = 2 * PagedBits.PAGE_BITS + 100;
    PagedBits bits = new PagedBits(size);
    long[] full = new long[PagedBits.PAGE_BYTES / 8];
    java.util.Arrays.fill(full, -1L);
    bits.load(0, full);
    AtomicLong balance = new AtomicLong(bits.count());
    long end = System.nanoTime() + NANOS;

    inThreads(
        (own, thread) -> {
          while (System.nanoTime() < end) {
            int from = own.nextInt(size);
            int to = Math.min(size, from + own.nextInt(200));
            if (own.nextBoolean()) {
              balance.addAndGet(bits.set(from, to));
            } else {
              balance.addAndGet(-bits.clear(from, to));
            }
          }
        });

    assertThat(bits.count()).isEqualTo(balance.get());
  }

  @Test
  void bits_whoSeesOneSet_seesWhatWasWrittenBefore() throws Exception {
    int size = 1 << 16;
    PagedBits bits = new PagedBits(size);
    int[] data = new int[size]; // plain: published by the bits alone
    AtomicInteger next = new AtomicInteger();

    inThreads(
        (own, thread) -> {
          if (thread % 2 == 0) {
            for (int bit; (bit = next.getAndIncrement()) < size; ) {
              data[bit] = bit + 1;
              bits.set(bit, bit + 1);
            }
          } else {
            while (next.get() < size) {
              int bit = own.nextInt(Math.min(size, next.get() + 1));
              if (bits.get(bit) && data[bit] != bit + 1) {
                throw new AssertionError("bit " + bit + " seen before its data");
              }
            }
          }
        });

    assertThat(bits.all(0, size)).isTrue();
  }

  /** Workers that land or fail, readers, heals and evictions; no block in two fetches at once. */
  @Test
  void table_underEverythingAtOnce_endsEveryReadAndFetchesNoBlockTwiceAtOnce() throws Exception {
    int blocks = 512;
    Path dir = Path.of(System.getProperty("java.io.tmpdir")).toAbsolutePath();
    CachePair pair = new CachePair(dir.resolve("stress-c"), dir.resolve("stress-b"));
    PairOpener opener = new PairOpener(new MemoryStorage(), pair, false, WhenDifferent.FAIL);
    try (PairFiles files =
        opener.open(new io.uloop.SourceIdentity("memory:", blocks * 512L, Optional.empty()), 512)) {
      BlockStore store = new BlockStore(files, null, () -> {});
      Counters counters = new Counters();
      FetchTable table =
          new FetchTable(
              store,
              new FetchPlanner.Shape(new FetchUnit(4, 256, store.present(), counters), 64, 64, 2),
              4);
      AtomicIntegerArray owned = new AtomicIntegerArray(blocks);
      AtomicInteger submitted = new AtomicInteger();
      AtomicInteger ended = new AtomicInteger();
      long end = System.nanoTime() + NANOS;
      ExecutorService workers = Executors.newFixedThreadPool(4);
      List<Future<?>> working = new ArrayList<>();
      for (int w = 0; w < 4; w++) {
        long seed = random.nextLong();
        working.add(
            workers.submit(
                () -> {
                  runFetches(table, store, owned, new Random(seed));
                  return null;
                }));
      }

      inThreads(
          (own, thread) -> {
            while (System.nanoTime() < end) {
              int from = own.nextInt(blocks);
              int to = Math.min(blocks, from + 1 + own.nextInt(40));
              // At times reading around pays, and at times the link is slow.
              counters.savedReads.add(own.nextInt(5));
              if (own.nextInt(50) == 0) {
                table.allow(own.nextInt(6)); // of sources that come and go; four read
              }
              switch (own.nextInt(7)) {
                case 0 -> table.heal(from, true);
                case 3 ->
                    table.took(
                        new Fetch(from, to, false, false),
                        to - from,
                        3_000_000,
                        own.nextInt(4_000_000));
                case 1 -> table.planBackground(from, to);
                case 2 -> {
                  if (thread == 0 && table.evict(from, to)) {
                    table.evicted(from).forEach(Runnable::run);
                  }
                }
                default -> {
                  submitted.incrementAndGet();
                  submit(
                      table,
                      new PendingRead(
                          from * 512L,
                          ByteBuffer.allocate((to - from) * 512),
                          failure -> ended.incrementAndGet()),
                      own.nextInt(4) == 0 ? FetchTable.Want.EXACT : FetchTable.Want.DEMAND);
                }
              }
            }
          });

      while (ended.get() < submitted.get()) {
        Thread.onSpinWait(); // the workers are at it; the time limit guards
      }
      FetchTable.Closing left = table.close();
      // A read that one of its fetches has failed may have parts in others.
      assertThat(left.parts()).allMatch(part -> part.read().isDone());
      workers.shutdown();
      for (Future<?> each : working) {
        each.get();
      }
      assertThat(ended.get()).isEqualTo(submitted.get());
      for (int block = 0; block < blocks; block++) {
        assertThat(owned.get(block)).isZero();
      }
    }
  }

  private static void submit(FetchTable table, PendingRead read, FetchTable.Want want) {
    table.plan(
        read,
        read.offset() / 512,
        (read.end() + 511) / 512,
        new ArrayList<>(),
        want,
        () -> submit(table, read, want));
    read.partDone();
  }

  private static void runFetches(
      FetchTable table, BlockStore store, AtomicIntegerArray owned, Random own) throws Exception {
    BlockStore.Writer writer = store.new Writer(64);
    for (Fetch fetch; (fetch = table.take(10, TimeUnit.SECONDS, false)) != null; ) {
      if (!table.mayRead(fetch)) {
        continue;
      }
      List<Fetch.Part> touched = new ArrayList<>();
      boolean fails = own.nextInt(8) == 0;
      while (fetch.next < fetch.end && !fails && !table.isCancelled(fetch)) {
        long next = fetch.next;
        long to = Math.min(fetch.end, next + 1 + own.nextInt(16));
        for (long block = next; block < to; block++) {
          if (owned.incrementAndGet((int) block) != 1) {
            throw new AssertionError("block " + block + " is in two fetches");
          }
        }
        writer.store(next, ByteBuffer.allocate((int) (to - next) * 512));
        for (long block = next; block < to; block++) {
          owned.decrementAndGet((int) block);
        }
        touched.clear();
        table.landed(fetch, to, touched);
        for (Fetch.Part part : touched) {
          if (part.to() <= to) {
            part.read().partDone();
          }
        }
      }
      for (Fetch.Part part : table.ended(fetch)) {
        part.read().fail(new java.io.IOException("failed"));
      }
    }
  }
}
