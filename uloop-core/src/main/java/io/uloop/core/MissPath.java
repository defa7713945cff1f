/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import io.uloop.SourceChangedException;
import io.uloop.SourceProtocolException;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Makes reads wait for fetches, and ends them.
 *
 * <p>The planning of a read happens on the reader's thread and never blocks on the source; what
 * waits is a {@link PendingRead}. Fetches run on the {@link Fetcher}'s threads and come back here
 * to store what they got ({@link #store}) and when they fail ({@link #failed}): then each read that
 * waits is failed with the same cause, or, if asking for less may help, planned once more for just
 * its own blocks.
 *
 * <p><b>Threads:</b> any. No lock of its own; see {@link FetchTable}.
 */
final class MissPath implements FetchRun.Context {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final long SOURCE_POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(250);

  private final Geometry geometry;
  private final BlockStore store;
  private final FetchTable table;
  private final Counters counters;
  private final SourceSlot source;
  private final CacheHealth health;
  private final Committer committer;
  private final @Nullable Evictor evictor;
  private final long sourceWaitNanos;

  // Set once, before the first read: these three and this class know each other.
  private @Nullable Fetcher fetcher;
  private @Nullable HitPath hits;
  private @Nullable ReadAhead readAhead;
  private volatile boolean closed;

  /** Workers that wait for a thread of the source's, which may be in a completion. */
  private final Map<Thread, Thread> waiting = new ConcurrentHashMap<>();

  MissPath(
      BlockStore store,
      FetchTable table,
      Counters counters,
      SourceSlot source,
      CacheHealth health,
      Committer committer,
      @Nullable Evictor evictor,
      long sourceWaitNanos) {
    this.geometry = store.geometry();
    this.store = store;
    this.table = table;
    this.counters = counters;
    this.source = source;
    this.health = health;
    this.committer = committer;
    this.evictor = evictor;
    this.sourceWaitNanos = sourceWaitNanos;
  }

  void connect(Fetcher workers, HitPath hitPath, ReadAhead ahead) {
    fetcher = workers;
    hits = hitPath;
    readAhead = ahead;
  }

  /** From now on reads that fail are failed as closed. */
  void close() {
    closed = true;
  }

  /** Takes a read that was not a hit to its end, now or later. */
  void submit(PendingRead read) {
    if (plan(read, FetchTable.Want.DEMAND, true)) {
      Objects.requireNonNull(readAhead).read(read.offset(), read.end() - read.offset(), true);
      finishPlanning(read);
    }
  }

  /** Whether what is fetched now will very likely be there when a reader that waits looks. */
  boolean keeps() {
    return evictor == null && health.isWell();
  }

  /** As {@link #submit}, but after all that readers wait for. */
  void submitInBackground(PendingRead read) {
    // Room was measured for what is asked for: a fetch that is widened would push something out.
    FetchTable.Want want = evictor == null ? FetchTable.Want.BACKGROUND : FetchTable.Want.FILL;
    if (plan(read, want, false)) {
      finishPlanning(read);
    }
  }

  /** Sees to it that what a read waits for is fetched, or fails it; ends the planner's part. */
  private void finishPlanning(PendingRead read) {
    try {
      Objects.requireNonNull(fetcher).wake();
    } catch (OutOfMemoryError e) {
      read.fail(e);
    }
    read.partDone();
  }

  /** Plans a whole read, or what of it can be planned now; false if it failed. */
  private boolean plan(PendingRead read, FetchTable.Want want, boolean count) {
    long from = geometry.blockOf(read.offset());
    long to = geometry.blockOf(read.end() - 1) + 1;
    HitPath present = Objects.requireNonNull(hits);
    present.verifySome(from, to);
    Runnable again =
        () -> {
          if (plan(read, want, count)) {
            finishPlanning(read);
          }
        };
    FetchTable.Want now =
        want == FetchTable.Want.DEMAND && health.isFailing() ? FetchTable.Want.EXACT : want;
    FetchTable.Outcome outcome = plan(read, from, to, now, again);
    if (outcome == FetchTable.Outcome.CLOSED) {
      return false;
    }
    if (count && outcome != FetchTable.Outcome.LATER) {
      long bytes = read.end() - read.offset();
      switch (outcome) {
        case READY -> counters.hits.add(bytes);
        case JOINED -> counters.joins.increment();
        default -> counters.misses.increment();
      }
      if (outcome != FetchTable.Outcome.READY) {
        counters.bytesWaitedFor.add(bytes);
      }
      present.used(from, to);
    }
    return true;
  }

  /** Plans some blocks of a read and copies the ready ones; the caller holds a part of it. */
  private FetchTable.Outcome plan(
      PendingRead read, long from, long to, FetchTable.Want want, Runnable again) {
    FetchTable.Outcome outcome = planInGate(read, from, to, want, again);
    if (outcome == FetchTable.Outcome.CLOSED) {
      // Outside the gate: a completion may wait for a close, and that for the evictor.
      read.fail(new ClosedChannelException());
    }
    return outcome;
  }

  private FetchTable.Outcome planInGate(
      PendingRead read, long from, long to, FetchTable.Want want, Runnable again) {
    HitPath present = Objects.requireNonNull(hits);
    long entered = present.enter();
    try {
      List<long[]> ready = new ArrayList<>(2);
      FetchTable.Outcome outcome = table.plan(read, from, to, ready, want, again);
      for (long[] run : ready) {
        long start = Math.max(read.offset(), geometry.startOf(run[0]));
        long end = Math.min(read.end(), geometry.startOf(run[1]));
        try {
          read.copy(store, start, end);
        } catch (IOException e) {
          present.unreadable(run[0], run[1], e);
          outcome = planInGate(read, run[0], run[1], FetchTable.Want.EXACT, again);
        }
      }
      return outcome;
    } finally {
      present.leave(entered);
    }
  }

  /** Begins background fetches for what is absent in a range; gives how many bytes were begun. */
  long beginBackground(long from, long to) {
    if (closed || health.isFailing()) {
      return 0;
    }
    long begun = table.planBackground(geometry.blockOf(from), geometry.firstBlockAtOrAfter(to));
    if (begun > 0) {
      wakeForNobody();
    }
    return begun;
  }

  /** Fetches a range in the background, little by little. */
  void prefetch(long from, long to) {
    if (!closed && !health.isFailing()) {
      table.prefetch(geometry.blockOf(from), geometry.firstBlockAtOrAfter(to));
      wakeForNobody();
    }
  }

  /** Takes note of how many reads a source that is now open allows at once. */
  void sourceAllows(int parallelism) {
    if (table.allow(parallelism)) {
      wakeForNobody();
    }
  }

  private void wakeForNobody() {
    try {
      Objects.requireNonNull(fetcher).wake();
    } catch (OutOfMemoryError e) { // the next read wakes again, and is told
      LOG.log(Level.DEBUG, "no thread for a background fetch", e);
    }
  }

  /** Whether the cache volume failed a moment ago, so that nothing is stored. */
  boolean volumeIsFailing() {
    return health.isFailing();
  }

  /** How many bytes more the limit allows without anything being evicted for them. */
  long roomToFill() {
    return evictor == null ? Long.MAX_VALUE : evictor.roomToFill();
  }

  @Override
  public BlockSource source() throws IOException {
    long begun = System.nanoTime();
    while (true) {
      try {
        return source.get();
      } catch (SourceUnavailableException e) {
        if (closed || System.nanoTime() - begun >= sourceWaitNanos) {
          throw e;
        }
        LockSupport.parkNanos(this, SOURCE_POLL_NANOS);
      }
    }
  }

  @Override
  public boolean store(BlockStore.Writer writer, long block, ByteBuffer bytes) {
    if (closed || health.isFailing() || !room(bytes.remaining())) {
      return false;
    }
    boolean written = true;
    try {
      written = writer.store(block, bytes);
      if (written) {
        health.succeeded();
        committer.stored(bytes.remaining());
      }
      return true;
    } catch (IOException e) {
      health.failed(e);
      table.dropWishes();
      return false;
    } finally {
      if (evictor != null) {
        evictor.stored(bytes.remaining(), written);
        if (evictor.wanted()) {
          committer.hurry();
        }
      }
    }
  }

  /** Takes room to store so many bytes, if the limit leaves it; asks for an eviction in time. */
  private boolean room(long bytes) {
    Evictor bounded = evictor;
    if (bounded == null) {
      return true;
    }
    boolean fits = bounded.takeRoom(bytes);
    if (!fits) {
      committer.hurry();
    }
    return fits;
  }

  @Override
  public void landedUnasked(long from, long to) {
    Objects.requireNonNull(hits).landedUnasked(from, to);
  }

  @Override
  public void waitsFor(@Nullable Thread giver) {
    if (giver == null) {
      waiting.remove(Thread.currentThread());
    } else {
      waiting.put(Thread.currentThread(), giver);
    }
  }

  /** The thread that a worker waits for, which gives it a piece; or null. */
  @Nullable Thread giverTo(Thread worker) {
    return waiting.get(worker);
  }

  @Override
  public void failed(Fetch fetch, List<Fetch.Part> parts, Throwable cause) {
    if (cause instanceof SourceChangedException gone) {
      source.changed(gone);
    }
    if (parts.isEmpty() && !(cause instanceof FetchRun.Cancelled)) {
      LOG.log(Level.DEBUG, "{0} failed with nobody waiting: {1}", fetch, cause.getMessage());
    }
    boolean again =
        !closed
            && (cause instanceof FetchRun.Cancelled
                || (!fetch.narrow && FetchRun.mayBePartial(cause)));
    Throwable shown = shown(cause);
    // Who needs least first: it is asked for alone, and not with what is bad for another.
    List<Fetch.Part> smallest = new ArrayList<>(parts);
    smallest.sort(Comparator.comparingLong(part -> part.to() - part.from()));
    for (Fetch.Part part : smallest) {
      if (again) {
        planAgain(
            part, fetch.background ? FetchTable.Want.BACKGROUND_EXACT : FetchTable.Want.EXACT);
      } else {
        part.read().fail(shown);
      }
    }
  }

  /** Plans a part of a read once more, for its own blocks alone. */
  private void planAgain(Fetch.Part part, FetchTable.Want want) {
    plan(part.read(), part.from(), part.to(), want, () -> planAgain(part, want));
    finishPlanning(part.read());
  }

  private Throwable shown(Throwable cause) {
    if (closed) {
      return new ClosedChannelException();
    }
    if (cause instanceof UloopException || cause instanceof Error) {
      return cause;
    }
    if (!(cause instanceof IOException io)) { // a fault in the source
      return new SourceProtocolException(source.identity().uri() + ": " + cause, cause);
    }
    return new SourceUnavailableException(
        source.identity().uri() + ": " + Objects.requireNonNullElse(io.getMessage(), io.toString()),
        io);
  }
}
