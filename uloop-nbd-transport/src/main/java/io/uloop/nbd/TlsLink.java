/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.concurrent.Executor;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLEngineResult.Status;
import javax.net.ssl.SSLException;
import org.jspecify.annotations.Nullable;

/**
 * TLS over another link.
 *
 * <p>The key exchange of the first handshake runs on a worker; meanwhile {@link #busy} says to
 * leave the socket alone. A second handshake (renegotiation) is refused. Three buffers, each held
 * only while there is something in it: records received and not decrypted, plain text that did not
 * fit the reader's buffer, records not sent yet.
 *
 * <p><b>Threads:</b> the connection's loop; the engine is the worker's while {@link #busy}.
 */
final class TlsLink implements Link {

  /**
   * How often one read asks the wire: a client that sends records with nothing in them, without
   * end, must let others have their turn. What is not fetched yet makes the selector come back.
   */
  private static final int FETCHES = 8;

  /** Records that are encrypted before they are written together. */
  private static final int RECORDS = 4;

  private final Link wire;
  private final EventLoop loop;
  private final SSLEngine engine;
  private final NbdTls tls;
  private final Executor workers;

  /** Runs on any thread when a worker is through. */
  private final Runnable resume;

  private final int recordBytes;
  private final int plainBytes;

  private final Held received = new Held();
  private final Held plain = new Held();
  private final Held toSend = new Held();
  private final ByteBuffer[] one = new ByteBuffer[1];

  /** Set on the loop, cleared on the loop. */
  private boolean busy;

  private boolean established;
  private boolean endOfStream;

  /** How often the read that is going on may still ask the wire. */
  private int fetches;

  TlsLink(Link wire, EventLoop loop, NbdTls tls, Executor workers, Runnable resume) {
    this.wire = wire;
    this.loop = loop;
    this.tls = tls;
    this.engine = tls.serverEngine();
    this.workers = workers;
    this.resume = resume;
    this.recordBytes = engine.getSession().getPacketBufferSize();
    this.plainBytes = engine.getSession().getApplicationBufferSize();
  }

  @Override
  public boolean busy() {
    return busy;
  }

  @Override
  public boolean holdsInput() {
    return plain.holds() || received.holds();
  }

  @Override
  public int read(ByteBuffer dst) throws IOException {
    int before = dst.position();
    fetches = FETCHES;
    plain.moveTo(dst);
    while (!busy && dst.hasRemaining() && !plain.holds() && decrypt(dst)) {
      plain.moveTo(dst);
    }
    flush();
    int count = dst.position() - before;
    return count == 0 && endOfStream && !plain.holds() ? -1 : count;
  }

  /** Takes one step of the input; false if no more is there, or for a worker to do. */
  private boolean decrypt(ByteBuffer dst) throws IOException {
    ByteBuffer in = received.toRead();
    boolean roomy = dst.remaining() >= plainBytes;
    SSLEngineResult result;
    try {
      result = engine.unwrap(in, roomy ? dst : plain.toFill(plainBytes));
    } catch (SSLException e) {
      tellWhy();
      throw e;
    } finally {
      received.wasRead();
      plain.releaseIfEmpty();
    }
    if (result.getStatus() == Status.CLOSED) {
      endOfStream = true;
      return false;
    }
    if (result.getStatus() == Status.BUFFER_OVERFLOW) {
      throw new IOException("a TLS record is longer than the session said: limit=" + plainBytes);
    }
    if (!follow(result)) {
      return false;
    }
    return result.getStatus() != Status.BUFFER_UNDERFLOW || receive();
  }

  /** Sends the alert that the engine has for the client, if it can still be sent. */
  private void tellWhy() throws IOException {
    engine.closeOutbound();
    wrap(EMPTY);
    flush();
  }

  /** Reads from the wire; false if nothing came. */
  private boolean receive() throws IOException {
    if (fetches-- == 0) {
      return false;
    }
    int count = endOfStream ? 0 : wire.read(received.toFill(2 * recordBytes));
    received.releaseIfEmpty();
    endOfStream |= count < 0;
    return count > 0;
  }

  /** Does what the handshake wants next; false if it has to wait for a worker. */
  private boolean follow(SSLEngineResult last) throws IOException {
    if (last.getHandshakeStatus() == HandshakeStatus.FINISHED) {
      finish();
    }
    while (true) {
      switch (engine.getHandshakeStatus()) {
        case NEED_WRAP -> {
          if (wrap(EMPTY).getHandshakeStatus() == HandshakeStatus.FINISHED) {
            finish();
          }
          if (engine.isOutboundDone()) {
            return false;
          }
        }
        case NEED_TASK -> {
          if (established && !engine.getSession().getProtocol().equals("TLSv1.3")) {
            throw new IOException("TLS renegotiation is refused");
          }
          delegate();
          return false;
        }
        default -> {
          return true;
        }
      }
    }
  }

  private static final ByteBuffer EMPTY = ByteBuffer.allocate(0);

  private void finish() throws IOException {
    established = true;
    tls.checkClient(engine.getSession());
  }

  private void delegate() {
    Runnable task = engine.getDelegatedTask();
    if (task == null) {
      return;
    }
    busy = true;
    workers.execute(
        () -> {
          for (Runnable next = task; next != null; next = engine.getDelegatedTask()) {
            next.run();
          }
          loop.execute(
              () -> {
                busy = false;
                resume.run();
              });
        });
  }

  @Override
  public void write(ByteBuffer[] srcs, int count) throws IOException {
    for (int i = 0; i < count; i++) {
      while (srcs[i].hasRemaining()) {
        if (busy || (toSend.size() > (RECORDS - 1) * recordBytes && !flush())) {
          return;
        }
        if (wrap(srcs[i]).bytesProduced() == 0) {
          throw new IOException("TLS is closed");
        }
      }
    }
  }

  private SSLEngineResult wrap(ByteBuffer src) throws IOException {
    ByteBuffer out = toSend.toFill(RECORDS * recordBytes);
    SSLEngineResult result = engine.wrap(src, out);
    if (result.getStatus() == Status.BUFFER_OVERFLOW && !flush()) {
      throw new IOException("a TLS handshake fills the socket without being read");
    }
    toSend.releaseIfEmpty();
    return result;
  }

  @Override
  public boolean flush() throws IOException {
    if (!toSend.holds()) {
      return true;
    }
    one[0] = toSend.toRead();
    try {
      wire.write(one, 1);
    } finally {
      toSend.wasRead();
    }
    return !toSend.holds();
  }

  @Override
  public @Nullable WritableByteChannel direct() {
    return null;
  }

  @Override
  public void endOutput() throws IOException {
    if (!busy) {
      engine.closeOutbound();
      while (!engine.isOutboundDone() && wrap(EMPTY).bytesProduced() > 0) {
        flush();
      }
      flush();
    }
    wire.endOutput();
  }

  @Override
  public void release() {
    received.release();
    plain.release();
    toSend.release();
  }

  /** A buffer that is there only while there is something in it. */
  private final class Held {
    private @Nullable ByteBuf owner;
    private ByteBuffer bytes = EMPTY;

    /** Whether the buffer is between {@link #toRead} and {@link #wasRead}. */
    private boolean reading;

    boolean holds() {
      return bytes.position() > 0;
    }

    int size() {
      return bytes.position();
    }

    ByteBuffer toFill(int capacity) {
      if (owner == null) {
        ByteBuf made = loop.allocate(capacity);
        owner = made;
        bytes = made.nioBuffer(0, capacity);
      }
      return bytes;
    }

    ByteBuffer toRead() {
      reading = true;
      return owner == null ? EMPTY : bytes.flip();
    }

    void wasRead() {
      reading = false;
      if (owner != null) {
        bytes.compact();
        releaseIfEmpty();
      }
    }

    void moveTo(ByteBuffer dst) {
      if (holds()) {
        ByteBuffer from = toRead();
        int count = Math.min(from.remaining(), dst.remaining());
        int limit = from.limit();
        from.limit(from.position() + count);
        dst.put(from);
        from.limit(limit);
        wasRead();
      }
    }

    void releaseIfEmpty() {
      if (!reading && !holds()) {
        release();
      }
    }

    void release() {
      ByteBuf held = owner;
      if (held != null) {
        owner = null;
        bytes = EMPTY;
        held.release();
      }
    }
  }
}
