/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.Closeable;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * An NBD server for any {@link io.uloop.BlockDevice}.
 *
 * <pre>{@code
 * NbdServerConfig config =
 *     NbdServerConfig.builder()
 *         .listen("unix:/run/disk.sock")
 *         .export(new NbdExport("disk", device))
 *         .build();
 * try (NbdServer server = NbdServer.start(config)) {
 *   server.await();
 * }
 * }</pre>
 *
 * <p><b>Threads:</b> all methods may be called from any thread. The server runs its own daemon
 * threads.
 *
 * @since 0.1
 */
public final class NbdServer implements Closeable {

  private static final System.Logger LOG = System.getLogger(NbdServer.class.getName());

  /** Threads for what may block. They end when there is nothing for them to do. */
  private static final int WORKERS = 8;

  /** Asked for on unix sockets, of which the kernel gives what net.core.wmem_max allows. */
  private static final int SEND_BUFFER_BYTES = 1 << 20;

  private static final long WORKER_IDLE_SECONDS = 10;

  /** How long {@link #close} waits; the connections end themselves a little earlier. */
  private static final long STOP_MILLIS = 1900;

  private final ServerState state;
  private final ThreadPoolExecutor workers;
  private final List<Listener> listeners;
  private final List<EventLoop> loops;
  private final List<Thread> threads = new ArrayList<>();
  private final AtomicBoolean closing = new AtomicBoolean();
  private final CountDownLatch closed = new CountDownLatch(1);
  private final AtomicInteger connections = new AtomicInteger();
  private final Runnable onConnectionClosed = connections::decrementAndGet;

  /** For the first loop's thread, which accepts. */
  private final Refused refused = new Refused();

  private NbdServer(NbdServerConfig config, List<Listener> listeners, List<EventLoop> loops) {
    this.listeners = listeners;
    this.loops = loops;
    this.workers =
        new ThreadPoolExecutor(
            WORKERS,
            WORKERS,
            WORKER_IDLE_SECONDS,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            named("worker"));
    workers.allowCoreThreadTimeOut(true);
    this.state = new ServerState(config, new MemoryBudget(config.limits().serverBytes()), workers);
  }

  /**
   * Begins to serve; returns when clients can connect.
   *
   * @param config what to offer, and where
   * @return the server; the caller closes it
   * @throws IOException if a place cannot be listened at; nothing is left behind
   */
  public static NbdServer start(NbdServerConfig config) throws IOException {
    List<Listener> listeners = new ArrayList<>();
    List<EventLoop> loops = new ArrayList<>();
    try {
      for (String place : config.places()) {
        listeners.add(Listener.open(place, config));
      }
      // Direct arenas only, one per loop, and no caches per thread: what is idle costs nothing.
      ByteBufAllocator allocator =
          new PooledByteBufAllocator(true, 0, config.threads(), 8192, 7, 0, 0, false);
      for (int i = 0; i < config.threads(); i++) {
        loops.add(new EventLoop(allocator, new BusyPoll(config.busyPoll().toNanos())));
      }
      NbdServer server = new NbdServer(config, listeners, loops);
      server.run();
      return server;
    } catch (IOException | RuntimeException e) {
      for (Listener listener : listeners) {
        listener.close();
      }
      loops.forEach(EventLoop::discard);
      throw e;
    }
  }

  private void run() throws IOException {
    EventLoop accepting = loops.get(0);
    for (Listener listener : listeners) {
      listener
          .channel()
          .register(
              accepting.selector(),
              SelectionKey.OP_ACCEPT,
              (EventLoop.Selectable) () -> accept(listener));
    }
    ThreadFactory factory = named("loop");
    for (EventLoop loop : loops) {
      Thread thread = factory.newThread(loop);
      threads.add(thread);
      thread.start();
    }
  }

  private static ThreadFactory named(String role) {
    AtomicInteger count = new AtomicInteger();
    return task -> {
      Thread thread = new Thread(task, "uloop-nbd-" + role + "-" + count.incrementAndGet());
      thread.setDaemon(true);
      return thread;
    };
  }

  /** Takes the clients that wait; on the first loop. */
  private void accept(Listener listener) throws IOException {
    while (true) {
      SocketChannel socket;
      try {
        socket = listener.channel().accept();
      } catch (ClosedChannelException e) {
        return; // The server stops.
      } catch (IOException e) {
        // No descriptors left, most likely; the client waits in the backlog for better times.
        LOG.log(Level.WARNING, "cannot accept: " + e.getMessage());
        EventLoop accepting = loops.get(0);
        accepting.rest(listener.channel().keyFor(accepting.selector()));
        return;
      }
      if (socket == null) {
        return;
      }
      if (!listener.admits(socket)) {
        socket.close();
        continue;
      }
      if (connections.get() >= state.limits().connections()) {
        refused.one(state.limits().connections());
        socket.close();
        continue;
      }
      refused.none();
      connections.incrementAndGet();
      EventLoop loop = loops.stream().min(Comparator.comparingInt(EventLoop::size)).orElseThrow();
      loop.execute(() -> serve(loop, socket));
    }
  }

  /**
   * Clients for which there was no room. It is said of the first, and when there is room again how
   * many they were; after that not for a while, so that no client can fill the log.
   */
  private static final class Refused {

    private static final long QUIET_NANOS = TimeUnit.SECONDS.toNanos(10);

    private long count;
    private boolean told;
    private long toldAt = System.nanoTime() - QUIET_NANOS;

    void one(int limit) {
      count++;
      if (!told && System.nanoTime() - toldAt >= QUIET_NANOS) {
        told = true;
        toldAt = System.nanoTime();
        LOG.log(Level.WARNING, "too many connections; more are refused: limit={0}", limit);
      }
    }

    void none() {
      if (told && count > 1) {
        LOG.log(Level.WARNING, "connections that were refused: {0}", Long.toString(count));
      }
      if (told) {
        told = false;
        count = 0;
      }
    }
  }

  private void serve(EventLoop loop, SocketChannel socket) {
    Connection connection =
        new Connection(loop, state, socket, new PlainLink(socket), onConnectionClosed);
    try {
      socket.configureBlocking(false);
      if (socket.getRemoteAddress() instanceof InetSocketAddress) {
        socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
      } else {
        socket.setOption(StandardSocketOptions.SO_SNDBUF, SEND_BUFFER_BYTES);
      }
      connection.start(socket.register(loop.selector(), SelectionKey.OP_READ, connection));
    } catch (IOException | RuntimeException e) {
      LOG.log(Level.DEBUG, "a client came too late or is gone already: " + e);
      connection.close();
    }
  }

  /**
   * Gives the places as they came out, for example with the port that the system chose.
   *
   * @return one for each that the settings name, in that order
   */
  public List<String> places() {
    return listeners.stream().map(Listener::place).toList();
  }

  /**
   * Counts the clients that are connected now.
   *
   * @return zero or more
   */
  public int connections() {
    return connections.get();
  }

  /**
   * Counts the bytes that requests hold now: reads that wait and payloads of writes.
   *
   * @return zero or more
   */
  public long heldBytes() {
    return state.budget().used();
  }

  /**
   * Waits until the server is closed.
   *
   * @throws InterruptedException if the thread is interrupted
   */
  public void await() throws InterruptedException {
    closed.await();
  }

  /**
   * Stops: listens no more, answers what runs, fails what comes after it with ESHUTDOWN, and closes
   * all connections; takes 2 seconds at most.
   *
   * <p>Idempotent; a second caller waits for the first.
   *
   * @throws IOException if a socket's file could not be removed
   */
  @Override
  public void close() throws IOException {
    if (!closing.compareAndSet(false, true)) {
      try {
        closed.await();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      return;
    }
    long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(STOP_MILLIS);
    try {
      for (EventLoop loop : loops) {
        loop.execute(loop::stop);
      }
      closeListeners();
    } finally {
      boolean interrupted = false;
      for (Thread thread : threads) {
        interrupted |= !join(thread, deadline);
      }
      workers.shutdown();
      closed.countDown();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void closeListeners() throws IOException {
    IOException failure = null;
    for (Listener listener : listeners) {
      try {
        listener.close();
      } catch (IOException e) {
        failure = e;
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  /** Waits for a loop; false if interrupted, when the loop is left to end by itself. */
  private static boolean join(Thread thread, long deadline) {
    try {
      thread.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())));
      return true;
    } catch (InterruptedException e) {
      return false;
    }
  }
}
