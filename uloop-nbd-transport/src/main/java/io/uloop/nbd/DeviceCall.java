/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.netty.buffer.ByteBuf;
import io.uloop.BlockDevice;
import io.uloop.Errno;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A request that may block, on its way to a worker and back.
 *
 * <p><b>Threads:</b> {@link #run} is the worker's; the outcome is written there before {@link
 * EventLoop#execute} and read after it, on the loop, which does everything else.
 */
final class DeviceCall extends Request implements Runnable {

  private static final System.Logger LOG = System.getLogger(DeviceCall.class.getName());

  private static final byte[] NO_TEXT = {};

  /** Replies up to this size share a buffer with others. */
  private static final int SMALL_BYTES = 4 << 10;

  private final Transmission owner;
  private final int type;
  private final int flags;
  private final long cookie;
  private final long offset;
  private final long length;
  private final int contexts;

  /** What the client sent along; freed when the device has it. */
  private @Nullable ByteBuf payload;

  /** Bytes charged to the connection and not given back or handed on yet. */
  private long charge;

  private boolean answered;
  private @Nullable Throwable failure;
  private @Nullable ByteBuffer reply;

  private DeviceCall(
      Transmission owner,
      RequestHeader request,
      @Nullable ByteBuf payload,
      long charge,
      int contexts) {
    this.owner = owner;
    this.type = request.type;
    this.flags = request.flags;
    this.cookie = request.cookie;
    this.offset = request.offset;
    this.length = request.length;
    this.payload = payload;
    this.charge = charge;
    this.contexts = contexts;
  }

  /**
   * Makes one.
   *
   * @param payload what the client sends along, if anything; belongs to the call
   * @param charge what the call holds; it gives that back
   */
  static DeviceCall of(
      Transmission owner,
      RequestHeader request,
      @Nullable ByteBuf payload,
      long charge,
      int contexts) {
    return new DeviceCall(owner, request, payload, charge, contexts);
  }

  /** Gives a view of the payload that is filled from its position on. */
  ByteBuffer payloadBytes() {
    return Objects.requireNonNull(payload, "payload").nioBuffer(0, (int) length);
  }

  @Override
  public void run() {
    try {
      perform(owner.device());
    } catch (IOException | RuntimeException | Error e) {
      failure = e;
    }
    owner.loop().execute(this::complete);
  }

  private void perform(BlockDevice device) throws IOException {
    boolean fua = (flags & Nbd.CMD_FLAG_FUA) != 0;
    switch (type) {
      case Nbd.CMD_WRITE -> device.write(offset, payloadBytes(), fua);
      case Nbd.CMD_FLUSH -> device.flush();
      case Nbd.CMD_TRIM -> device.trim(offset, length, fua);
      case Nbd.CMD_WRITE_ZEROES ->
          device.zero(
              offset,
              length,
              (flags & Nbd.CMD_FLAG_NO_HOLE) == 0,
              (flags & Nbd.CMD_FLAG_FAST_ZERO) != 0,
              fua);
      case Nbd.CMD_BLOCK_STATUS -> blockStatus(device);
      default -> throw new IllegalStateException("no call of a device: type=" + type);
    }
  }

  private void blockStatus(BlockDevice device) throws IOException {
    long asked = length;
    int mask = contexts;
    if (payload != null) {
      ByteBuffer filter = payloadBytes();
      asked = filter.getLong();
      mask = chosen(filter);
      if (asked < 0 || offset < 0 || asked > device.size() - offset) {
        throw new IllegalArgumentException("beyond the end");
      }
      if (((asked | offset) & (device.capabilities().minimumBlockBytes() - 1)) != 0) {
        throw new IllegalArgumentException("not a multiple of the minimum block size");
      }
    }
    if (asked == 0) {
      throw new IllegalArgumentException("nothing asked");
    }
    boolean one = (flags & Nbd.CMD_FLAG_REQ_ONE) != 0;
    reply = BlockStatus.reply(device, owner.style(), cookie, offset, asked, mask, one);
  }

  /** Takes the ids that a client is interested in, each known and named once. */
  private int chosen(ByteBuffer ids) {
    int mask = 0;
    while (ids.hasRemaining()) {
      int id = ids.getInt();
      int bit = id >= 1 && id <= MetaContext.values().length ? 1 << (id - 1) : 0;
      if ((bit & contexts) == 0 || (bit & mask) != 0) {
        throw new IllegalArgumentException("no such context, or twice: id=" + id);
      }
      mask |= bit;
    }
    return mask;
  }

  /** Says that no worker takes the call, as the server stops. */
  void reject() {
    failure = new java.nio.channels.ClosedChannelException();
    owner.loop().execute(this::complete);
  }

  /** Answers, on the loop. */
  private void complete() {
    if (answered) {
      release();
      return;
    }
    try {
      answer();
    } catch (RuntimeException | Error e) {
      owner.connection().fail(e);
    }
    release();
    owner.finished(this);
  }

  private void answer() {
    if (!owner.connection().closed()) {
      Throwable why = failure;
      ByteBuffer made = reply;
      ReplyStyle style = owner.style();
      if (why != null) {
        LOG.log(Level.DEBUG, "a request failed: type=" + type + " offset=" + offset, why);
        byte[] text = ErrorText.of(why);
        ByteBuffer to = owner.out().reserve(ReplyStyle.MAX_HEADER_BYTES + text.length);
        style.putError(to, cookie, offset, errno(why).number(), text);
      } else if (made != null) {
        reply(made);
      } else {
        style.putDone(owner.out().reserve(ReplyStyle.MAX_HEADER_BYTES), cookie, offset);
      }
    }
  }

  /** Sends a reply of any size; a long one stays charged until it is sent. */
  private void reply(ByteBuffer made) {
    int length = made.remaining();
    if (length <= SMALL_BYTES) {
      owner.out().reserve(length).put(made);
      return;
    }
    ByteBuf copy = owner.loop().allocate(length);
    long kept = Math.min(length, charge);
    charge -= kept;
    owner.out().add(new Segment(copy, copy.nioBuffer(0, length).put(made), kept, false));
  }

  /** ENOTSUP is for fast zeroes only; everything else that is not supported is EINVAL. */
  private Errno errno(Throwable why) {
    Errno errno = Errno.of(why);
    boolean fast = (flags & Nbd.CMD_FLAG_FAST_ZERO) != 0;
    return errno == Errno.ENOTSUP && !fast ? Errno.EINVAL : errno;
  }

  /** Gives back what is held. */
  void release() {
    ByteBuf held = payload;
    if (held != null) {
      payload = null;
      held.release();
    }
    long given = charge;
    charge = 0;
    owner.inFlight().discharge(given);
  }

  @Override
  void abandon() {
    ByteBuffer to = owner.out().reserve(ReplyStyle.MAX_HEADER_BYTES);
    owner.style().putError(to, cookie, offset, Errno.ESHUTDOWN.number(), NO_TEXT);
    answered = true;
    owner.inFlight().forget(this);
  }
}
