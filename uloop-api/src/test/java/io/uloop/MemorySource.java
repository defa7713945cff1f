/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A source in memory for tests: it counts, waits and fails when told to.
 *
 * <p>Bytes are handed over in pieces of {@link #pieceBytes}. A gate stands before each piece:
 * {@link #hold} shuts it, {@link #allow} lets a number of bytes through, {@link #release} opens it
 * for good, and {@link #awaitHeld} waits until readers stand before it. Failures are queued with
 * {@link #failNext} (one read each) or set with {@link #failAll} until {@link #heal}; a failing
 * read passes the gate first, so that readers can be gathered before it fails.
 *
 * <p>All methods may be called by any thread. Gate and failures cover writes, zeroes and flushes
 * too.
 */
public final class MemorySource implements BlockSource {

  private static final long TIMEOUT_SECONDS = 30;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();

  // All guarded by lock.
  private final byte[] content;
  private final ArrayDeque<IOException> failures = new ArrayDeque<>();
  private final List<ByteRange> reads = new ArrayList<>();
  private final List<ByteRange> writes = new ArrayList<>();
  private IOException standingFailure;
  private long allowance = Long.MAX_VALUE;
  private int held;
  private int running;
  private int mostRunning;
  private long bytesDelivered;
  private int flushes;
  private int closes;

  // Set before use.
  private volatile SourceIdentity identity;
  private volatile int parallelism = 8;
  private volatile int preferredFetchBytes = 1 << 20;
  private volatile int pieceBytes = 64 * 1024;
  private volatile boolean writable;
  private volatile boolean knowsHoles;

  /**
   * Makes one.
   *
   * @param content its bytes, used as they are, not copied
   */
  public MemorySource(byte[] content) {
    this.content = content;
    identity =
        new SourceIdentity(
            "memory:" + Integer.toHexString(Arrays.hashCode(content)),
            content.length,
            Optional.of(new Validator(Validator.Kind.OTHER, "1")));
  }

  // ---- what it says of itself

  /** Sets the identity; the size must stay. */
  public MemorySource identity(SourceIdentity identity) {
    this.identity = identity;
    return this;
  }

  /** Sets how many reads may run at once; 8 unless set. */
  public MemorySource parallelism(int parallelism) {
    this.parallelism = parallelism;
    return this;
  }

  /** Sets the preferred size of a fetch; 1 MiB unless set. */
  public MemorySource preferredFetchBytes(int bytes) {
    this.preferredFetchBytes = bytes;
    return this;
  }

  /** Sets the size of the pieces of a streamed read; 64 KiB unless set. */
  public MemorySource pieceBytes(int bytes) {
    this.pieceBytes = bytes;
    return this;
  }

  /** Sets whether it takes writes; it does not unless set. */
  public MemorySource writable(boolean writable) {
    this.writable = writable;
    return this;
  }

  /** Sets whether {@link #extents} tells runs of 4096 zeroes; it does not unless set. */
  public MemorySource knowsHoles(boolean knowsHoles) {
    this.knowsHoles = knowsHoles;
    return this;
  }

  // ---- gate

  /** Shuts the gate: nothing more is handed over. */
  public void hold() {
    locked(() -> allowance = 0);
  }

  /** Lets so many more bytes through a shut gate. */
  public void allow(long bytes) {
    locked(() -> allowance = Math.addExact(allowance, bytes));
  }

  /** Opens the gate for good. */
  public void release() {
    locked(() -> allowance = Long.MAX_VALUE);
  }

  /** Waits until so many calls stand before the gate. */
  public void awaitHeld(int calls) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long left = TimeUnit.SECONDS.toNanos(TIMEOUT_SECONDS);
      while (held < calls) {
        if (left <= 0) {
          throw new AssertionError("held " + held + " calls, not " + calls);
        }
        left = changed.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }

  // ---- failures

  /** Makes the next calls fail, one each, after those queued before. */
  public void failNext(IOException... failures) {
    locked(() -> this.failures.addAll(List.of(failures)));
  }

  /** Makes all calls fail until {@link #heal}. */
  public void failAll(IOException failure) {
    locked(() -> standingFailure = failure);
  }

  /** Ends all failures. */
  public void heal() {
    locked(
        () -> {
          standingFailure = null;
          failures.clear();
        });
  }

  // ---- counts

  /** Gives the ranges that were asked for, in the order of asking. */
  public List<ByteRange> reads() {
    return got(() -> List.copyOf(reads));
  }

  /** Counts how often a byte was asked for. */
  public int timesRead(long offset) {
    return got(
        () -> (int) reads.stream().filter(r -> r.start() <= offset && offset < r.end()).count());
  }

  /** Counts the bytes handed over. */
  public long bytesDelivered() {
    return got(() -> bytesDelivered);
  }

  /** Tells how many reads ran at once at most. */
  public int mostReadsAtOnce() {
    return got(() -> mostRunning);
  }

  /** Gives the ranges that were written, in order. */
  public List<ByteRange> writes() {
    return got(() -> List.copyOf(writes));
  }

  /** Counts the flushes. */
  public int flushes() {
    return got(() -> flushes);
  }

  /** Counts the calls of {@link #close}. */
  public int closes() {
    return got(() -> closes);
  }

  /** Gives a copy of the bytes as they are now. */
  public byte[] content() {
    return got(content::clone);
  }

  // ---- the source

  @Override
  public long size() {
    return content.length;
  }

  @Override
  public SourceIdentity identity() {
    return identity;
  }

  @Override
  public int parallelism() {
    return parallelism;
  }

  @Override
  public int preferredFetchBytes() {
    return preferredFetchBytes;
  }

  @Override
  public boolean writable() {
    return writable;
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    begin(ByteRange.ofLength(offset, dst.remaining()));
    try {
      pass(dst.remaining(), new Cancel());
      deliver(offset, dst);
    } finally {
      end();
    }
  }

  @Override
  public void read(long offset, long length, ReadSink sink) throws IOException {
    begin(ByteRange.ofLength(offset, length));
    try {
      Cancel cancel = new Cancel();
      sink.onCancel(() -> locked(() -> cancel.wanted = true));
      for (long done = 0; done < length; ) {
        ByteBuffer piece = ByteBuffer.allocate((int) Math.min(pieceBytes, length - done));
        pass(piece.remaining(), cancel);
        deliver(offset + done, piece);
        done += piece.flip().remaining();
        sink.accept(piece);
      }
    } finally {
      end();
    }
  }

  @Override
  public void write(long offset, ByteBuffer src) throws IOException {
    checkWritable();
    ByteRange range = ByteRange.ofLength(offset, src.remaining());
    pass(src.remaining(), new Cancel());
    locked(
        () -> {
          writes.add(range);
          src.get(content, (int) offset, src.remaining());
        });
  }

  @Override
  public void zero(long offset, long length) throws IOException {
    checkWritable();
    pass(length, new Cancel());
    locked(
        () -> {
          writes.add(ByteRange.ofLength(offset, length));
          Arrays.fill(content, (int) offset, (int) (offset + length), (byte) 0);
        });
  }

  @Override
  public void flush() throws IOException {
    pass(0, new Cancel());
    locked(() -> flushes++);
  }

  @Override
  public List<Extent> extents(long offset, long length) {
    if (!knowsHoles) {
      return List.of(new Extent(ByteRange.ofLength(offset, length), true, false));
    }
    return got(
        () -> {
          List<Extent> extents = new ArrayList<>();
          long end = offset + length;
          for (long at = offset; at < end; ) {
            boolean zero = zeroUnit(at);
            long next = at;
            do {
              next = Math.min((next / 4096 + 1) * 4096, end);
            } while (next < end && zeroUnit(next) == zero);
            extents.add(new Extent(new ByteRange(at, next), true, zero));
            at = next;
          }
          return extents;
        });
  }

  private boolean zeroUnit(long offset) {
    int start = (int) (offset / 4096 * 4096);
    for (int i = start; i < Math.min(start + 4096, content.length); i++) {
      if (content[i] != 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public void close() {
    locked(() -> closes++);
  }

  @Override
  public String toString() {
    return identity.uri();
  }

  // ---- inside

  private static final class Cancel {
    // Guarded by lock.
    private boolean wanted;
  }

  private void checkWritable() throws ReadOnlyException {
    if (!writable) {
      throw new ReadOnlyException(identity.uri());
    }
  }

  private void begin(ByteRange range) {
    locked(
        () -> {
          reads.add(range);
          mostRunning = Math.max(mostRunning, ++running);
        });
  }

  private void end() {
    locked(() -> running--);
  }

  private void deliver(long offset, ByteBuffer dst) {
    locked(
        () -> {
          bytesDelivered += dst.remaining();
          dst.put(content, (int) offset, dst.remaining());
        });
  }

  /** Waits at the gate, then fails if told to. */
  private void pass(long bytes, Cancel cancel) throws IOException {
    lock.lock();
    try {
      held++;
      changed.signalAll();
      try {
        while (closes == 0 && !cancel.wanted && allowance < Math.max(bytes, 1)) {
          changed.await();
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("interrupted at the gate");
      } finally {
        held--;
      }
      if (closes > 0) {
        throw new ClosedChannelException();
      }
      if (cancel.wanted) {
        throw new IOException("cancelled");
      }
      if (allowance != Long.MAX_VALUE) {
        allowance -= bytes;
      }
      IOException failure = standingFailure != null ? standingFailure : failures.poll();
      if (failure != null) {
        throw failure;
      }
    } finally {
      lock.unlock();
    }
  }

  private void locked(Runnable change) {
    lock.lock();
    try {
      change.run();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  private <T> T got(java.util.function.Supplier<T> value) {
    lock.lock();
    try {
      return value.get();
    } finally {
      lock.unlock();
    }
  }
}
