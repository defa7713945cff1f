/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.ByteRange;
import io.uloop.DeviceCapabilities;
import io.uloop.DeviceStatistics;
import io.uloop.Extent;
import io.uloop.ReadCompletion;
import io.uloop.ReadOnlyException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A writable device in memory whose presence, holes, delays and failures a test switches.
 *
 * <p>Reads of absent blocks are answered by {@link #executor}, or, while {@link #holdMisses} is on,
 * not before {@link #releaseMisses}.
 */
final class MemoryDevice implements BlockDevice {

  static final int BLOCK = 4096;

  final byte[] content;
  final AtomicInteger flushes = new AtomicInteger();
  final List<String> calls = new ArrayList<>();
  private final BitSet present = new BitSet();
  private final BitSet holes = new BitSet();
  private long zeroesTold;
  private final BitSet failing = new BitSet();
  private final List<Runnable> held = new ArrayList<>();
  private DeviceCapabilities capabilities =
      new DeviceCapabilities(true, true, true, true, false, 1, BLOCK);
  private boolean holding;
  private volatile CountDownLatch writeGate = new CountDownLatch(0);
  private volatile boolean closed;
  private volatile boolean evictBeforeTransfer;
  private volatile boolean failAfterEviction;
  private volatile Fetches fetches = Fetches.NOT_OFFERED;
  private volatile Executor executor = Runnable::run;

  /** How ranges can be fetched without a buffer. */
  enum Fetches {
    NOT_OFFERED,
    OFFERED,
    /** What was fetched is not kept. */
    IN_VAIN,
    /** The first half is kept. */
    IN_PART,
    /** It fails at once. */
    THROWS
  }

  MemoryDevice(int size) {
    content = new byte[size];
    new Random(42).nextBytes(content);
    present.set(0, blocks());
  }

  private int blocks() {
    return (content.length + BLOCK - 1) / BLOCK;
  }

  MemoryDevice with(DeviceCapabilities can) {
    capabilities = can;
    return this;
  }

  MemoryDevice readOnly() {
    return with(DeviceCapabilities.readOnly(BLOCK));
  }

  MemoryDevice fetches(Fetches how) {
    fetches = how;
    return this;
  }

  MemoryDevice missesOn(Executor answering) {
    executor = answering;
    return this;
  }

  synchronized MemoryDevice absent(long from, long to) {
    present.clear((int) (from / BLOCK), (int) ((to + BLOCK - 1) / BLOCK));
    return this;
  }

  synchronized MemoryDevice present(long from, long to) {
    present.set((int) (from / BLOCK), (int) ((to + BLOCK - 1) / BLOCK));
    return this;
  }

  synchronized MemoryDevice hole(long from, long to) {
    holes.set((int) (from / BLOCK), (int) (to / BLOCK));
    Arrays.fill(content, (int) from, (int) to, (byte) 0);
    return this;
  }

  /** Makes misses that touch these blocks fail. */
  synchronized MemoryDevice failing(long from, long to) {
    failing.set((int) (from / BLOCK), (int) ((to + BLOCK - 1) / BLOCK));
    return this;
  }

  synchronized MemoryDevice holdMisses() {
    holding = true;
    return this;
  }

  void releaseMisses() {
    List<Runnable> due;
    synchronized (this) {
      holding = false;
      due = List.copyOf(held);
      held.clear();
    }
    due.forEach(Runnable::run);
  }

  /** Answers the oldest of the misses that are held. */
  void releaseOneMiss() {
    Runnable due;
    synchronized (this) {
      due = held.remove(0);
    }
    due.run();
  }

  synchronized int heldMisses() {
    return held.size();
  }

  /** Writes and their like wait at the gate. */
  void gate(CountDownLatch gate) {
    writeGate = gate;
  }

  /** Drops what {@link #presentBytes} promised as soon as the first transfer has begun. */
  MemoryDevice evictingBeforeTransfer() {
    evictBeforeTransfer = true;
    return this;
  }

  /** As {@link #evictingBeforeTransfer}, and from then on all misses fail. */
  MemoryDevice evictingForGood() {
    failAfterEviction = true;
    return evictingBeforeTransfer();
  }

  @Override
  public long size() {
    return content.length;
  }

  @Override
  public DeviceCapabilities capabilities() {
    return capabilities;
  }

  private void check(long offset, long length) {
    if (offset < 0 || length < 0 || length > content.length - offset) {
      throw new IndexOutOfBoundsException("offset=" + offset + " length=" + length);
    }
  }

  private synchronized boolean allPresent(long offset, long length) {
    return length == 0
        || present.nextClearBit((int) (offset / BLOCK)) > (offset + length - 1) / BLOCK;
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    check(offset, dst.remaining());
    dst.put(content, (int) offset, dst.remaining());
  }

  @Override
  public boolean tryRead(long offset, ByteBuffer dst) throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    check(offset, dst.remaining());
    if (!allPresent(offset, dst.remaining())) {
      return false;
    }
    dst.put(content, (int) offset, dst.remaining());
    return true;
  }

  @Override
  public void readAsync(long offset, ByteBuffer dst, ReadCompletion completion) {
    later(() -> answer(offset, dst, completion));
  }

  private void later(Runnable answer) {
    synchronized (this) {
      if (holding) {
        held.add(answer);
        return;
      }
    }
    executor.execute(answer);
  }

  @Override
  public boolean fetchAsync(long offset, long length, ReadCompletion completion) {
    check(offset, length);
    if (fetches == Fetches.NOT_OFFERED || closed) {
      return false;
    }
    called("fetch " + offset + " " + length);
    if (fetches == Fetches.THROWS) {
      throw new IllegalStateException("no fetches today");
    }
    later(
        () -> {
          boolean fails = fails(offset, length);
          if (!fails && fetches != Fetches.IN_VAIN) {
            present(offset, offset + length / (fetches == Fetches.IN_PART ? 2 : 1));
          }
          completion.done(outcome(fails));
        });
    return true;
  }

  @Override
  public long transferFetched(long offset, long length, WritableByteChannel target)
      throws IOException {
    called("send " + offset);
    return transferTo(offset, length, target);
  }

  private synchronized boolean fails(long offset, long length) {
    int bad = failing.nextSetBit((int) (offset / BLOCK));
    return bad >= 0 && length > 0 && bad <= (offset + length - 1) / BLOCK;
  }

  private Throwable outcome(boolean fails) {
    return closed
        ? new ClosedChannelException()
        : fails ? new SourceUnavailableException("memory: switched off") : null;
  }

  private void answer(long offset, ByteBuffer dst, ReadCompletion completion) {
    boolean fails = fails(offset, dst.remaining());
    if (!fails) {
      synchronized (this) {
        dst.put(content, (int) offset, dst.remaining());
      }
    }
    completion.done(outcome(fails));
  }

  @Override
  public long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    if (evictBeforeTransfer) {
      evictBeforeTransfer = false;
      int sent = target.write(ByteBuffer.wrap(content, (int) offset, 1000));
      absent(0, content.length);
      if (failAfterEviction) {
        failing(0, content.length);
      }
      return sent;
    }
    long there = presentBytes(offset, length);
    return there == 0
        ? 0
        : target.write(ByteBuffer.wrap(content, (int) offset, (int) Math.min(there, 100_000)));
  }

  @Override
  public synchronized long presentBytes(long offset, long length) {
    check(offset, length);
    long end = (long) present.nextClearBit((int) (offset / BLOCK)) * BLOCK;
    return Math.max(0, Math.min(length, end - offset));
  }

  @Override
  public synchronized void zeroesTold(long offset, long length) {
    zeroesTold += length;
  }

  /** Bytes that were named as zeroes to readers. */
  synchronized long zeroesTold() {
    return zeroesTold;
  }

  @Override
  public synchronized List<Extent> extents(long offset, long length) throws IOException {
    check(offset, length);
    List<Extent> extents = new ArrayList<>();
    long end = offset + length;
    for (long at = offset; at < end && extents.size() < 100; ) {
      int block = (int) (at / BLOCK);
      boolean here = present.get(block);
      boolean hole = holes.get(block);
      int next = block + 1;
      while ((long) next * BLOCK < end && present.get(next) == here && holes.get(next) == hole) {
        next++;
      }
      long upTo = Math.min(end, (long) next * BLOCK);
      extents.add(new Extent(new ByteRange(at, upTo), here, hole));
      at = upTo;
    }
    return extents;
  }

  @Override
  public void prefetch(long offset, long length) {
    check(offset, length);
    called("prefetch " + offset + " " + length);
    present(offset, offset + length);
  }

  @Override
  public void write(long offset, ByteBuffer src, boolean fua) throws IOException {
    called("write " + offset + " " + src.remaining() + (fua ? " fua" : ""));
    change(offset, src.remaining());
    synchronized (this) {
      src.get(content, (int) offset, src.remaining());
    }
  }

  @Override
  public void trim(long offset, long length, boolean fua) throws IOException {
    called("trim " + offset + " " + length + (fua ? " fua" : ""));
    change(offset, length);
  }

  @Override
  public void zero(long offset, long length, boolean mayPunch, boolean fastOnly, boolean fua)
      throws IOException {
    called("zero " + offset + " " + length + " " + mayPunch + " " + fastOnly + " " + fua);
    if (fastOnly && offset % BLOCK != 0) {
      throw new UnsupportedOperationException("not fast");
    }
    change(offset, length);
    synchronized (this) {
      Arrays.fill(content, (int) offset, (int) (offset + length), (byte) 0);
    }
  }

  private void change(long offset, long length) throws IOException {
    if (!capabilities.writable()) {
      throw new ReadOnlyException("memory");
    }
    check(offset, length);
    passGate();
  }

  private void passGate() throws IOException {
    try {
      writeGate.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new java.io.InterruptedIOException("at the gate");
    }
  }

  @Override
  public void flush() throws IOException {
    passGate();
    flushes.incrementAndGet();
  }

  private synchronized void called(String call) {
    calls.add(call);
  }

  synchronized List<String> calls() {
    return List.copyOf(calls);
  }

  @Override
  public DeviceStatistics statistics() {
    return new DeviceStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  }

  @Override
  public void close() {
    closed = true;
    releaseMisses();
  }

  byte[] slice(long offset, int length) {
    return Arrays.copyOfRange(content, (int) offset, (int) offset + length);
  }
}
