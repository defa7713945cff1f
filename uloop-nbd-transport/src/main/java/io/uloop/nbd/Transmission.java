/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import io.uloop.BlockDevice;
import io.uloop.Errno;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * The requests of one client: takes them off the input, answers or starts them.
 *
 * <p>A request is checked, then does one of:
 *
 * <ul>
 *   <li>a READ whose bytes are present is answered at once, into the output or by {@link Transfer};
 *   <li>any other READ becomes {@link Fetching}s and {@link Reading}s, which the device completes;
 *   <li>what may block becomes a {@link DeviceCall} for the workers;
 *   <li>the rest is answered at once.
 * </ul>
 *
 * A request that may not start yet (too many in flight, no memory, output not taken by the client)
 * is left in the input; {@link #consume} says so, and the connection offers it again.
 *
 * <p><b>Threads:</b> the connection's loop only. What runs elsewhere comes back through {@link
 * EventLoop#execute}.
 *
 * <p><b>Source:</b> proto.md, "Transmission", "Request types", "Error values".
 */
final class Transmission {

  /** Reads up to this size are copied into the output; larger ones go around it. */
  static final int COPY_BYTES = 64 << 10;

  /** Room for any reply without data, the text of an error included. */
  private static final int SMALL_REPLY_BYTES = 512;

  private static final byte[] NO_TEXT = {};

  private final Connection connection;
  private final ServerState server;
  private final EventLoop loop;
  private final OutputQueue out;
  private final BlockDevice device;
  private final ReplyStyle style;
  private final int contexts;
  private final int headerBytes;
  private final RequestHeader request = new RequestHeader();
  private final RequestCheck check;
  private final InFlight inFlight;

  /** The payload being received, and the request that it belongs to. */
  private @Nullable Payload payload;

  /** Bytes of an unwanted payload still to be skipped, and the error that follows them. */
  private long skip;

  private Errno skipError = Errno.EINVAL;

  Transmission(
      Connection connection,
      ServerState server,
      NbdExport export,
      ReplyStyle style,
      int flags,
      int contexts) {
    this.connection = connection;
    this.server = server;
    this.loop = connection.loop();
    this.out = connection.out();
    this.device = export.device();
    this.style = style;
    this.contexts = contexts;
    this.headerBytes =
        style == ReplyStyle.EXTENDED ? RequestHeader.EXTENDED_BYTES : RequestHeader.COMPACT_BYTES;
    this.check = new RequestCheck(device, style, flags, contexts, server.limits());
    this.inFlight = new InFlight(server, connection);
  }

  /** Gives the requests that are started and not answered, and what they hold. */
  InFlight inFlight() {
    return inFlight;
  }

  BlockDevice device() {
    return device;
  }

  ReplyStyle style() {
    return style;
  }

  /**
   * Takes requests off the input.
   *
   * @return false if the next one has to wait for something else than more bytes
   */
  boolean consume(ByteBuffer in) throws IOException {
    while (true) {
      Payload receiving = payload;
      if (receiving != null) {
        receiving.take(in);
        payloadArrived();
        if (payload != null) {
          return true;
        }
      }
      if (skip > 0) {
        int skipped = (int) Math.min(skip, in.remaining());
        in.position(in.position() + skipped);
        skip -= skipped;
        if (skip > 0) {
          return true;
        }
        refuse(skipError);
      }
      if (in.remaining() < headerBytes) {
        return true;
      }
      if (!roomFor(SMALL_REPLY_BYTES)) {
        return false;
      }
      int start = in.position();
      if (!request.decode(in, style == ReplyStyle.EXTENDED)) {
        throw new IOException("no request: the magic number is wrong");
      }
      if (request.type == Nbd.CMD_DISC) {
        connection.finish();
        return true;
      }
      if (!start()) {
        in.position(start);
        return false;
      }
    }
  }

  /** Starts the request just decoded; false if it has to wait. */
  private boolean start() throws IOException {
    long payloadBytes = check.payloadBytes(request);
    Errno wrong = connection.stopping() ? Errno.ESHUTDOWN : check.wrong(request);
    if (payloadBytes > 0) {
      return startPayload(payloadBytes, wrong);
    }
    if (wrong != null) {
      refuse(wrong);
      return true;
    }
    if (request.type == Nbd.CMD_READ) {
      return startRead();
    }
    if (request.type == Nbd.CMD_CACHE) {
      if (request.length > 0) {
        device.prefetch(request.offset, request.length);
      }
    } else if (request.type == Nbd.CMD_FLUSH || request.length > 0) {
      long charge = request.type == Nbd.CMD_BLOCK_STATUS ? statusBytes() : 0;
      if (!inFlight.mayHold(charge)) {
        return false;
      }
      call(DeviceCall.of(this, request, null, charge, contexts));
      return true;
    }
    style.putDone(out.reserve(SMALL_REPLY_BYTES), request.cookie, request.offset);
    return true;
  }

  /** Gives what the reply to a BLOCK_STATUS may hold, but never more than can be had. */
  private long statusBytes() {
    return Math.min(BlockStatus.MAX_REPLY_BYTES, server.limits().payloadBytes());
  }

  private boolean startPayload(long length, @Nullable Errno wrong) {
    boolean filter = request.type == Nbd.CMD_BLOCK_STATUS;
    if (wrong != null) {
      skip = length;
      skipError = wrong;
      return true;
    }
    long charge = filter ? statusBytes() : length;
    if (!inFlight.mayHold(charge)) {
      return false;
    }
    try {
      ByteBuf bytes = loop.allocate((int) length);
      payload = new Payload(DeviceCall.of(this, request, bytes, charge, contexts));
    } catch (RuntimeException | Error e) {
      inFlight.discharge(charge);
      throw e;
    }
    return true;
  }

  /** Gives where the rest of a payload belongs, if one is being received. */
  @Nullable ByteBuffer payloadTarget() {
    Payload receiving = payload;
    return receiving == null ? null : receiving.target;
  }

  /** Starts the request whose payload is received, if it is complete. */
  void payloadArrived() {
    Payload receiving = payload;
    if (receiving != null && !receiving.target.hasRemaining()) {
      payload = null;
      call(receiving.call);
    }
  }

  private boolean startRead() throws IOException {
    int length = (int) request.length;
    if (length == 0) {
      style.putDone(out.reserve(SMALL_REPLY_BYTES), request.cookie, request.offset);
      return true;
    }
    if (length <= COPY_BYTES) {
      if (!roomFor(style.dataHeaderBytes + length)) {
        return false;
      }
      if (copied(length)) {
        loop.answeredAtOnce();
        return true;
      }
    }
    return inFlight.mayStart() && new ReadPlan(this, request).start();
  }

  /** Answers a READ from what is present, into the output; there must be room. */
  private boolean copied(int length) {
    ByteBuffer to = out.reserve(style.dataHeaderBytes + length);
    int start = to.position();
    int limit = to.limit();
    style.putData(to, request.cookie, request.offset, request.offset, length, true);
    to.limit(to.position() + length);
    boolean hit = false;
    try {
      hit = device.tryRead(request.offset, to);
    } catch (IOException | RuntimeException e) {
      to.limit(limit).position(start);
      error(request.cookie, request.offset, e);
      return true;
    } finally {
      to.limit(limit);
    }
    if (!hit) {
      to.position(start);
    }
    return hit;
  }

  /** Makes sure that so much can be appended without allocating; false if the client is slow. */
  private boolean roomFor(int bytes) throws IOException {
    return out.room() >= bytes || connection.flush(true) == OutputQueue.State.EMPTY;
  }

  private void refuse(Errno errno) {
    ByteBuffer to = out.reserve(SMALL_REPLY_BYTES);
    style.putError(to, request.cookie, request.offset, errno.number(), NO_TEXT);
  }

  private void error(long cookie, long requestOffset, Throwable failure) {
    ByteBuffer to = out.reserve(SMALL_REPLY_BYTES);
    byte[] text = ErrorText.of(failure);
    style.putError(to, cookie, requestOffset, Errno.of(failure).number(), text);
  }

  /** Forgets a request that is through; it may have been forgotten before. */
  void finished(Request done) {
    inFlight.forget(done);
    loop.markDirty(connection);
  }

  private void call(DeviceCall call) {
    inFlight.started(call);
    try {
      server.workers().execute(call);
    } catch (RejectedExecutionException e) {
      call.reject();
    }
  }

  EventLoop loop() {
    return loop;
  }

  Connection connection() {
    return connection;
  }

  OutputQueue out() {
    return out;
  }

  /** Gives back what is held; what runs gives its own back when it ends. */
  void close() {
    inFlight.close();
    Payload receiving = payload;
    if (receiving != null) {
      payload = null;
      receiving.call.release();
    }
  }

  /** A payload on its way in. */
  private static final class Payload {
    final DeviceCall call;
    final ByteBuffer target;

    Payload(DeviceCall call) {
      this.call = call;
      this.target = call.payloadBytes();
    }

    void take(ByteBuffer in) {
      int count = Math.min(in.remaining(), target.remaining());
      int limit = in.limit();
      in.limit(in.position() + count);
      target.put(in);
      in.limit(limit);
    }
  }
}
