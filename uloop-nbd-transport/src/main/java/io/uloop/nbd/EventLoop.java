/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * One thread that waits for its sockets and runs their connections.
 *
 * <p>Each connection lives on one loop for life and is touched by that thread alone; other threads
 * (the device's, the workers') only {@link #execute} here. The loop owns two buffers that its
 * connections use in turn, so that one with nothing to say holds none: {@link #input} for a read,
 * {@link #chunk} for the answers.
 *
 * <p><b>Wake-ups:</b> {@code awake} is set by the first {@link #execute} and cleared before the
 * tasks are run, so a task is either seen by that run or followed by a wake-up. It is set during a
 * {@link BusyPoll} too, and cleared before a last look for tasks.
 */
final class EventLoop implements Runnable {

  /** What a key of the selector belongs to. */
  interface Selectable {
    void ready() throws IOException;
  }

  private static final System.Logger LOG = System.getLogger(EventLoop.class.getName());

  /** Bytes that one read takes: a whole option of the longest kind, or 2,340 requests. */
  static final int INPUT_BYTES = (64 << 10) + 64;

  /** How many buffers one gathering write takes; far below IOV_MAX (1024). */
  private static final int GATHER = 64;

  /** How often connections are looked at for time limits. */
  private static final long SWEEP_MILLIS = 500;

  /** The same while the server stops. */
  private static final long STOP_SWEEP_MILLIS = 50;

  private final Selector selector;
  private final ByteBufAllocator allocator;
  private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean awake = new AtomicBoolean();
  private @Nullable Segment input;
  private @Nullable Segment spare;
  private final ByteBuffer[] gathered = new ByteBuffer[GATHER];
  private final Set<Connection> connections = new LinkedHashSet<>();
  private final List<Connection> dirty = new ArrayList<>();

  /** Keys that get no events until the next sweep. */
  private final List<SelectionKey> resting = new ArrayList<>();

  /** Who runs this; null before. */
  private volatile @Nullable Thread thread;

  private boolean stopping;

  private final BusyPoll busyPoll;

  /** Set when nobody runs the tasks any more; whoever adds one then runs it (it only releases). */
  private volatile boolean terminated;

  private volatile int size;

  EventLoop(ByteBufAllocator allocator) throws IOException {
    this(allocator, new BusyPoll(0));
  }

  EventLoop(ByteBufAllocator allocator, BusyPoll busyPoll) throws IOException {
    this.selector = Selector.open();
    this.busyPoll = busyPoll;
    this.allocator = allocator;
  }

  Selector selector() {
    return selector;
  }

  /** Gives the number of connections; any thread. */
  int size() {
    return size;
  }

  /** Gives the buffer for a read, cleared; valid until the caller returns to the loop. */
  ByteBuffer input() {
    Segment held = input;
    if (held == null) {
      // Not in the constructor: a thread that has allocated keeps the allocator's memory alive.
      held = Segment.collecting(allocate(INPUT_BYTES));
      input = held;
    }
    return held.bytes.clear();
  }

  /** Gives an empty collecting buffer of {@link Segment#CHUNK_BYTES}. */
  Segment chunk() {
    Segment chunk = spare;
    if (chunk == null) {
      return Segment.collecting(allocate(Segment.CHUNK_BYTES));
    }
    spare = null;
    return chunk;
  }

  ByteBuf allocate(int bytes) {
    return allocator.directBuffer(bytes, bytes);
  }

  /** Gives room for the buffers of one gathering write; valid until the caller returns. */
  ByteBuffer[] gathered() {
    return gathered;
  }

  /** Takes a buffer back that was sent or dropped. */
  void recycle(Segment segment) {
    if (segment.open
        && spare == null
        && !terminated
        && segment.owner.capacity() == Segment.CHUNK_BYTES) {
      segment.reset();
      spare = segment;
    } else {
      segment.owner.release();
    }
  }

  /** Runs something on this loop, soon; any thread. */
  void execute(Runnable task) {
    tasks.add(task);
    if (terminated) {
      runRest();
    } else if (Thread.currentThread() != thread && awake.compareAndSet(false, true)) {
      selector.wakeup();
    }
  }

  /** Asks for a connection to be pumped once the tasks at hand are done. */
  void markDirty(Connection connection) {
    if (connection.becomesDirty()) {
      dirty.add(connection);
    }
  }

  void add(Connection connection) throws ClosedSelectorException {
    if (stopping || terminated) {
      throw new ClosedSelectorException();
    }
    connections.add(connection);
    size = connections.size();
  }

  void remove(Connection connection) {
    connections.remove(connection);
    size = connections.size();
  }

  /** Calls the action for each connection; it may close it. */
  void forEachConnection(java.util.function.Consumer<Connection> action) {
    List.copyOf(connections).forEach(action);
  }

  /** Leaves a listening socket alone for a while, as accepting fails; on the loop. */
  void rest(SelectionKey accepting) {
    accepting.interestOps(0);
    resting.add(accepting);
  }

  private static void wake(SelectionKey accepting) {
    try {
      accepting.interestOps(SelectionKey.OP_ACCEPT);
    } catch (CancelledKeyException e) { // the listener is closed, by another thread
      LOG.log(Level.DEBUG, "a listener was closed while it rested", e);
    }
  }

  /** Ends all connections in order, and then the loop; on the loop. */
  void stop() {
    stopping = true;
    forEachConnection(Connection::stop);
  }

  /** Gives back what a loop that never ran holds. */
  void discard() {
    terminate();
  }

  @Override
  public void run() {
    thread = Thread.currentThread();
    long nextSweep = System.nanoTime();
    try {
      while (!(stopping && connections.isEmpty())) {
        long tick = stopping ? STOP_SWEEP_MILLIS : SWEEP_MILLIS;
        boolean timeless = connections.isEmpty() && resting.isEmpty();
        if (!tasks.isEmpty()) {
          selector.selectNow(EventLoop::ready); // The loop's own tasks came without a wake-up.
        } else if (!busyPoll()) {
          sleep(timeless ? 0 : tick);
        }
        awake.set(false);
        runTasks();
        long now = System.nanoTime();
        if (now - nextSweep >= 0) {
          nextSweep = now + tick * 1_000_000;
          forEachConnection(c -> c.sweep(now));
          resting.forEach(EventLoop::wake);
          resting.clear();
        }
      }
    } catch (IOException | RuntimeException | Error e) {
      LOG.log(Level.ERROR, "an event loop died", e);
    } finally {
      terminate();
    }
  }

  /** Takes note of a read that was answered from what is present. */
  void answeredAtOnce() {
    busyPoll.answered();
  }

  private void sleep(long millis) throws IOException {
    long start = System.nanoTime();
    selector.select(EventLoop::ready, millis);
    busyPoll.slept(System.nanoTime() - start);
  }

  /**
   * Polls for a short time, where that is likely to save going to sleep and being woken. The
   * processor is offered to other threads after each look.
   *
   * @return whether something came: events, which were handled, or tasks
   */
  @SuppressWarnings("ThreadPriorityCheck") // correct without the yield, only less polite
  private boolean busyPoll() throws IOException {
    if (!busyPoll.pays()) {
      return false;
    }
    awake.set(true); // Tasks are seen without a wake-up.
    long start = System.nanoTime();
    long polled = 0;
    boolean some;
    do {
      some = selector.selectNow(EventLoop::ready) > 0 || !tasks.isEmpty();
      if (!some) {
        Thread.yield();
        polled = System.nanoTime() - start;
      }
    } while (!some && polled < busyPoll.nanos());
    awake.set(false);
    busyPoll.ended(some, polled);
    return some || !tasks.isEmpty();
  }

  /** Runs the tasks that are due and what they made dirty; tests without a thread call it too. */
  void runTasks() {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      try {
        task.run();
      } catch (RuntimeException | Error e) {
        LOG.log(Level.ERROR, "a task of an event loop failed", e);
      }
    }
    for (int i = 0; i < dirty.size(); i++) {
      dirty.get(i).pumpDirty();
    }
    dirty.clear();
  }

  private static void ready(SelectionKey key) {
    Selectable target = (Selectable) key.attachment();
    try {
      target.ready();
    } catch (IOException | RuntimeException | Error e) {
      LOG.log(Level.WARNING, "an event could not be handled", e);
    }
  }

  private void terminate() {
    forEachConnection(Connection::close);
    terminated = true;
    runRest();
    for (Segment held : new Segment[] {spare, input}) {
      if (held != null) {
        held.owner.release();
      }
    }
    spare = null;
    input = null;
    try {
      selector.close();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "closing a selector", e);
    }
  }

  private synchronized void runRest() {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
  }
}
