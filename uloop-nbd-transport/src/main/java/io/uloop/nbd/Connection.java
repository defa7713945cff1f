/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import org.jspecify.annotations.Nullable;

/**
 * One client: moves bytes between its socket and the state machine it is in.
 *
 * <p><b>States</b> (each entered at most once, downwards only):
 *
 * <pre>
 * HANDSHAKE     options; ends with transmission, with a refusal, or after the handshake's time
 * TRANSMISSION  requests
 * DRAINING      no further requests are taken (DISC, end of stream); what runs is answered
 * LINGERING     all is said, output ended; input is thrown away until the client closes
 * CLOSED        socket closed; reads still with the device release their buffers when they return
 * </pre>
 *
 * DRAINING goes straight to CLOSED unless the server stops: then closing at once, with requests of
 * the client unread, could cost it the last answers.
 *
 * <p><b>Back-pressure:</b> requests are taken off the socket only while everything said so far went
 * out, so a client that does not read its answers is not read either, and holds one chunk and what
 * its requests in flight hold.
 *
 * <p><b>Threads:</b> the loop's only.
 */
final class Connection implements EventLoop.Selectable, Runnable {

  private static final System.Logger LOG = System.getLogger(Connection.class.getName());

  /** After how many reads in a row other connections get their turn. */
  private static final int ROUNDS = 16;

  private final EventLoop loop;
  private final ServerState server;
  private final @Nullable SocketChannel channel;
  private @Nullable SelectionKey key;
  private Link link;
  private final OutputQueue out;

  /** Told once, when all is given back. */
  private final Runnable onClose;

  private final ConnectionClock clock;

  /** The state machine; exactly one of the two is there. */
  private @Nullable Handshake handshake;

  private @Nullable Transmission transmission;

  /** Bytes received and not taken yet: part of a message, or all while paused. */
  private @Nullable ByteBuf leftover;

  /** Whether the state machine has to wait for something else than bytes. */
  private boolean paused;

  /** Whether the last read took all that was there. */
  private boolean drained;

  /** Whether the client sends no more. */
  private boolean endOfStream;

  /** Whether no more requests are taken. */
  private boolean finished;

  /** Whether the loop will pump this after the tasks at hand. */
  private boolean dirty;

  private boolean encrypted;
  private boolean lingering;
  private boolean closed;
  private OutputQueue.State outState = OutputQueue.State.EMPTY;

  Connection(
      EventLoop loop,
      ServerState server,
      @Nullable SocketChannel channel,
      Link link,
      Runnable onClose) {
    this.loop = loop;
    this.server = server;
    this.channel = channel;
    this.link = link;
    this.onClose = onClose;
    this.clock = new ConnectionClock(server);
    this.out = new OutputQueue(loop, link);
    this.handshake = new Handshake(this, server);
  }

  /** Begins to serve: greets the client. */
  void start(@Nullable SelectionKey registered) {
    key = registered;
    loop.add(this);
    Handshake greeting = handshake;
    try {
      if (greeting != null) {
        greeting.greet();
      }
    } catch (RuntimeException | Error e) {
      fail(e);
    }
    pump();
  }

  /** Ends because something failed here that is not the client's doing, such as memory. */
  void fail(Throwable failure) {
    LOG.log(Level.ERROR, "a connection failed", failure);
    close();
  }

  OutputQueue out() {
    return out;
  }

  EventLoop loop() {
    return loop;
  }

  boolean closed() {
    return closed;
  }

  boolean stopping() {
    return clock.stopping();
  }

  /** Tells whether TLS is in use. */
  boolean encrypted() {
    return encrypted;
  }

  /** Sends the output so far, and puts TLS under all that follows. */
  void startTls(NbdTls tls) throws IOException {
    if (flush(false) != OutputQueue.State.EMPTY) {
      throw new IOException("a client does not take its 20 bytes");
    }
    link = new TlsLink(link, loop, tls, server.workers(), this::pump);
    out.use(link);
    encrypted = true;
  }

  /** Takes the handshake's result. */
  void enterTransmission(Transmission agreed) {
    handshake = null;
    transmission = agreed;
  }

  /** Takes no more requests; closes when what runs is answered. */
  void finish() {
    finished = true;
  }

  /** Remembers to be pumped; false if it does so already. */
  boolean becomesDirty() {
    boolean first = !dirty;
    dirty = true;
    return first;
  }

  void pumpDirty() {
    dirty = false;
    pump();
  }

  /** Asks to be pumped; any thread. */
  @Override
  public void run() {
    loop.execute(this::pump);
  }

  @Override
  public void ready() {
    pump();
  }

  /** Moves what can be moved: output first, then input, in turns. */
  void pump() {
    if (closed) {
      return;
    }
    try {
      if (!lingering) {
        exchange();
      }
      if (lingering) {
        discardInput();
      }
      updateInterest();
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "a connection ended: " + e);
      close();
    } catch (RuntimeException | Error e) {
      fail(e);
    }
  }

  private void exchange() throws IOException {
    for (int round = 0; round < ROUNDS; round++) {
      if (flush(false) != OutputQueue.State.EMPTY) {
        return;
      }
      if (finished || (endOfStream && leftover == null)) {
        if (idle()) {
          link.endOutput();
          close();
        }
        return;
      }
      if (!readAndFeed()) {
        outState = link.flush() ? outState : OutputQueue.State.FULL;
        if (stopping() && idle()) {
          link.endOutput();
          lingering = true;
        }
        return;
      }
    }
    boolean more = leftover != null || link.holdsInput() || endOfStream || finished;
    if (flush(false) == OutputQueue.State.EMPTY && more) {
      loop.execute(this::pump); // The socket may be empty, so no event would come.
    }
  }

  /** Sends what goes out now. */
  OutputQueue.State flush(boolean corked) throws IOException {
    outState = out.flush(corked);
    long sent = out.takeProgress();
    if (sent > 0) {
      clock.moved(sent);
    }
    Transmission requests = transmission;
    if (requests != null) {
      requests.inFlight().discharge(out.takeSentCharge());
    }
    return outState;
  }

  /** Lets the state machine have what was or is received; tells whether to go on at once. */
  private boolean readAndFeed() throws IOException {
    if (drained && !paused) {
      drained = false; // The selector tells when there is more; trying costs a system call.
      return false;
    }
    Transmission requests = transmission;
    ByteBuffer payload = requests == null || leftover != null ? null : requests.payloadTarget();
    if (requests != null && payload != null) {
      if (!received(payload)) {
        return endOfStream;
      }
      requests.payloadArrived();
      return true;
    }
    ByteBuffer in = loop.input();
    restoreLeftover(in);
    if (!paused && !(!endOfStream && received(in))) {
      if (endOfStream) {
        return true;
      }
      in.flip();
      saveLeftover(in);
      return false;
    }
    in.flip();
    Handshake options = handshake;
    paused = options != null && !options.consume(in);
    requests = transmission;
    if (requests != null && !finished) {
      paused = !requests.consume(in);
    }
    paused &= !finished;
    if (!finished) {
      saveLeftover(in);
    }
    return !paused || !out.isEmpty();
  }

  /** Reads what there is; tells whether that was anything. */
  private boolean received(ByteBuffer dst) throws IOException {
    int count = link.read(dst);
    if (count > 0) {
      clock.moved(count);
      drained = dst.hasRemaining();
    } else if (count < 0) {
      endOfStream = true;
    }
    return count > 0;
  }

  private void restoreLeftover(ByteBuffer in) {
    ByteBuf held = leftover;
    if (held != null) {
      in.limit(held.readableBytes());
      held.readBytes(in);
      in.limit(in.capacity());
      held.release();
      leftover = null;
    }
  }

  private void saveLeftover(ByteBuffer in) {
    if (in.hasRemaining()) {
      leftover = loop.allocate(in.remaining()).writeBytes(in);
    }
  }

  private boolean idle() {
    Transmission requests = transmission;
    return out.isEmpty() && (requests == null || requests.inFlight().count() == 0);
  }

  private void discardInput() throws IOException {
    int count = 1;
    for (int round = 0; round < ROUNDS && count > 0; round++) {
      count = link.read(loop.input());
    }
    if (count < 0) {
      close();
    }
  }

  private void updateInterest() {
    SelectionKey registered = key;
    if (closed || registered == null) {
      return;
    }
    int ops = 0;
    if (link.busy()) {
      ops = 0;
    } else if (outState == OutputQueue.State.FULL) {
      ops = SelectionKey.OP_WRITE;
    } else if (lingering
        || (!endOfStream && !finished && !paused && outState == OutputQueue.State.EMPTY)) {
      ops = SelectionKey.OP_READ;
    }
    if (registered.interestOps() != ops) {
      registered.interestOps(ops);
    }
  }

  /** Begins to end: new requests fail, and when those that run are answered, output ends. */
  void stop() {
    clock.stop();
    pump();
  }

  /** Looks whether a time limit has passed. */
  void sweep(long now) {
    Transmission requests = transmission;
    InFlight running = requests == null ? null : requests.inFlight();
    boolean held =
        outState == OutputQueue.State.FULL
            || (requests != null && requests.payloadTarget() != null);
    String overdue = clock.overdue(now, running, held);
    if (overdue != null) {
      LOG.log(Level.DEBUG, "a connection is dropped: {0}", overdue);
      close();
    } else if (clock.graceIsOver(now) && running != null) {
      running.abandon();
      pump();
    }
  }

  /** Closes at once and gives everything back. */
  void close() {
    if (closed) {
      return;
    }
    closed = true;
    out.clear();
    Transmission requests = transmission;
    if (requests != null) {
      requests.inFlight().discharge(out.takeSentCharge());
      requests.close();
    }
    ByteBuf held = leftover;
    if (held != null) {
      leftover = null;
      held.release();
    }
    link.release();
    loop.remove(this);
    SocketChannel socket = channel;
    if (socket != null) {
      try {
        socket.close();
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "closing a socket: " + e);
      }
    }
    onClose.run();
  }
}
