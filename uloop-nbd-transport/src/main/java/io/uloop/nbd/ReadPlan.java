/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.Errno;
import io.uloop.Extent;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A READ that is large, or of which something is missing.
 *
 * <p>With simple replies, or DF, it is answered in one piece: by a {@link Transfer} if all is
 * present, else by one {@link Reading}. With chunks it is cut where the device's extents change:
 * holes are named instead of sent, long present runs are transferred, and the rest is read in
 * pieces that are answered as they arrive.
 *
 * <p>{@code open} counts the parts that are not through; who brings it to zero ends the reply.
 */
final class ReadPlan extends Request implements Transfer.End {

  private static final System.Logger LOG = System.getLogger(ReadPlan.class.getName());

  /** The most that one piece of a chunked reply holds. */
  private static final int PIECE_BYTES = 1 << 20;

  /** A present run within missing ones is worth a chunk of its own from this size on. */
  private static final int WORTH_BYTES = 64 << 10;

  private static final byte[] NO_TEXT = {};

  private enum Kind {
    HOLE,
    PRESENT,
    MISSING
  }

  private record Part(Kind kind, long offset, long length) {}

  private final Transmission owner;
  private final BlockDevice device;
  private final ReplyStyle style;
  private final long cookie;
  private final long offset;
  private final int length;
  private final boolean fragments;
  private int open = 1;

  /** Whether the reply is in parts, so that its end is a chunk of its own. */
  private boolean parts;

  /** Whether the data are on their way without the JVM; then no error can take their place. */
  private boolean transferring;

  private boolean answered;

  ReadPlan(Transmission owner, RequestHeader request) {
    this.owner = owner;
    this.device = owner.device();
    this.style = owner.style();
    this.cookie = request.cookie;
    this.offset = request.offset;
    this.length = (int) request.length;
    this.fragments = style.chunked() && !request.has(Nbd.CMD_FLAG_DF);
  }

  /** Starts to answer; false, with nothing done, if it has to wait. */
  boolean start() throws IOException {
    List<Part> plan;
    try {
      plan = fragments && length > Transmission.COPY_BYTES ? cut() : List.of(whole());
    } catch (IOException | RuntimeException e) {
      owner.inFlight().started(this);
      fail(e);
      return true;
    }
    long missing = 0;
    for (Part part : plan) {
      missing += part.kind == Kind.MISSING ? part.length : 0;
    }
    if (missing > 0 && !owner.inFlight().mayHold(missing)) {
      return false;
    }
    owner.inFlight().started(this);
    parts = plan.size() > 1;
    try {
      for (Part part : plan) {
        begin(part);
        missing -= part.kind == Kind.MISSING ? part.length : 0;
      }
    } catch (RuntimeException | Error e) {
      owner.inFlight().discharge(missing); // Nobody else will for what was not begun.
      throw e;
    }
    through();
    if (transferring) {
      owner.connection().flush(true);
    }
    return true;
  }

  private Part whole() {
    boolean present =
        length > Transmission.COPY_BYTES && device.presentBytes(offset, length) == length;
    return new Part(present ? Kind.PRESENT : Kind.MISSING, offset, length);
  }

  /** Cuts the range into parts; short present runs count as missing, neighbours are joined. */
  private List<Part> cut() throws IOException {
    List<Part> plan = new ArrayList<>(1);
    long at = offset;
    long end = offset + length;
    while (at < end) {
      for (Extent extent : device.extents(at, end - at)) {
        long upTo = Math.min(end, extent.range().end());
        long run = upTo - at;
        Kind kind =
            extent.zero()
                ? Kind.HOLE
                : extent.present() && run >= WORTH_BYTES ? Kind.PRESENT : Kind.MISSING;
        append(plan, kind, at, run);
        at = upTo;
      }
    }
    return plan;
  }

  private static void append(List<Part> plan, Kind kind, long at, long run) {
    if (run == 0) {
      return;
    }
    Part last = plan.isEmpty() ? null : plan.get(plan.size() - 1);
    boolean joins = last != null && last.kind == kind;
    if (last != null && joins && (kind != Kind.MISSING || last.length + run <= PIECE_BYTES)) {
      plan.set(plan.size() - 1, new Part(kind, last.offset, last.length + run));
      return;
    }
    long from = at;
    if (kind == Kind.MISSING) {
      for (; at + run - from > PIECE_BYTES; from += PIECE_BYTES) {
        plan.add(new Part(kind, from, PIECE_BYTES));
      }
    }
    plan.add(new Part(kind, from, at + run - from));
  }

  private void begin(Part part) {
    OutputQueue out = owner.out();
    int bytes = (int) part.length;
    switch (part.kind) {
      case HOLE -> {
        ByteBuffer to = out.reserve(ReplyStyle.MAX_HEADER_BYTES);
        style.putHole(to, cookie, offset, part.offset, bytes, !parts);
        answered |= !parts;
        device.zeroesTold(part.offset, part.length);
      }
      case PRESENT -> {
        open++;
        transferring = true;
        parts |= style.chunked(); // It may still fail, so the end is said later.
        ByteBuffer to = out.reserve(style.dataHeaderBytes);
        style.putData(to, cookie, offset, part.offset, bytes, false);
        out.add(
            new Transfer(owner.loop(), device, part.offset, part.length, style.chunked(), this));
      }
      case MISSING -> {
        open++;
        new Reading(this, owner.loop(), style.dataHeaderBytes, part.offset, bytes).start(device);
      }
    }
  }

  /** Takes a piece that was read, or why not. */
  void read(Reading piece, @Nullable Throwable failure) {
    try {
      take(piece, failure);
    } catch (RuntimeException | Error e) {
      owner.connection().fail(e);
    }
  }

  private void take(Reading piece, @Nullable Throwable failure) {
    if (answered || owner.connection().closed()) {
      piece.release();
      owner.inFlight().discharge(piece.length);
    } else if (failure == null) {
      Segment reply = piece.toSegment();
      style.putData(reply.bytes, cookie, offset, piece.offset, piece.length, !parts);
      reply.bytes.position(reply.bytes.capacity());
      owner.out().add(reply);
      answered |= !parts;
    } else {
      piece.release();
      owner.inFlight().discharge(piece.length);
      failed(piece.offset, failure);
    }
    through();
  }

  @Override
  public void ended(Transfer transfer, long failedAt, @Nullable Throwable failure) {
    if (failure != null && !answered) {
      failed(failedAt, failure);
    }
    through();
  }

  @Override
  public void resumed() {
    owner.loop().markDirty(owner.connection());
  }

  private void failed(long at, Throwable failure) {
    LOG.log(Level.DEBUG, "a read failed: offset=" + at, failure);
    if (parts) {
      byte[] text = ErrorText.of(failure);
      ByteBuffer to = owner.out().reserve(ReplyStyle.MAX_HEADER_BYTES + text.length);
      style.putErrorAt(to, cookie, offset, Errno.of(failure).number(), text, at);
    } else {
      answer(Errno.of(failure), ErrorText.of(failure));
    }
  }

  private void fail(Throwable failure) {
    answer(Errno.of(failure), ErrorText.of(failure));
    through();
  }

  private void answer(Errno errno, byte[] text) {
    ByteBuffer to = owner.out().reserve(ReplyStyle.MAX_HEADER_BYTES + text.length);
    style.putError(to, cookie, offset, errno.number(), text);
    answered = true;
  }

  /** Counts a part that is through; the last one ends the reply. */
  private void through() {
    if (--open > 0) {
      return;
    }
    if (!answered && parts && !owner.connection().closed()) {
      style.putDone(owner.out().reserve(ReplyStyle.MAX_HEADER_BYTES), cookie, offset);
    }
    owner.finished(this);
  }

  @Override
  void abandon() {
    if (!answered && (style.chunked() || !transferring)) {
      answer(Errno.ESHUTDOWN, NO_TEXT);
      // What comes later is dropped; the request counts until then no more.
      owner.inFlight().forget(this);
    }
  }
}
