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
 * <p>With simple replies, or DF, it is one part: present or missing. With chunks it is cut where
 * the device's extents change: holes are named instead of sent, long present runs are transferred,
 * and the rest is got in pieces that are answered as they arrive.
 *
 * <p>A piece that is large is a {@link Fetching} where the device offers it: when it has come it is
 * cut once more, and transferred. Else, and for what is then not there, it is a {@link Reading}.
 * What pieces may need is charged when the request starts, and given back when they need it no
 * more.
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

  /**
   * @param fetched whether the device was asked to fetch it already
   */
  private record Part(Kind kind, long offset, long length, boolean fetched) {}

  private final Transmission owner;
  private final BlockDevice device;
  private final ReplyStyle style;
  private final long cookie;
  private final long offset;
  private final int length;
  private final boolean fragments;
  private int open = 1;

  /** How many pieces the device has not given yet; the rest of what is open is on its way out. */
  private int awaited;

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
      plan = cut(offset, length, false);
    } catch (IOException | RuntimeException e) {
      owner.inFlight().started(this);
      fail(e);
      return true;
    }
    long missing = missing(plan);
    if (missing > 0 && !owner.inFlight().mayHold(missing)) {
      return false;
    }
    owner.inFlight().started(this);
    begin(plan, missing);
    through();
    if (transferring) {
      owner.connection().flush(true);
    }
    return true;
  }

  private static long missing(List<Part> plan) {
    long missing = 0;
    for (Part part : plan) {
      missing += part.kind == Kind.MISSING ? part.length : 0;
    }
    return missing;
  }

  /**
   * Cuts a range into parts and joins neighbours. Short present runs count as missing: they are
   * copied. In what was fetched they are transferred, and short holes with them.
   */
  private List<Part> cut(long from, int bytes, boolean fetched) throws IOException {
    if (!fragments || bytes <= Transmission.COPY_BYTES) {
      boolean present =
          bytes > Transmission.COPY_BYTES && device.presentBytes(from, bytes) == bytes;
      return List.of(new Part(present ? Kind.PRESENT : Kind.MISSING, from, bytes, fetched));
    }
    List<Part> plan = new ArrayList<>(1);
    long at = from;
    long end = from + bytes;
    while (at < end) {
      for (Extent extent : device.extents(at, end - at)) {
        long upTo = Math.min(end, extent.range().end());
        long run = upTo - at;
        boolean worth = run >= WORTH_BYTES;
        Kind kind = Kind.MISSING;
        if (extent.zero() && (worth || !(fetched && extent.present()))) {
          kind = Kind.HOLE;
        } else if (extent.present() && (worth || fetched)) {
          kind = Kind.PRESENT;
        }
        append(plan, new Part(kind, at, run, fetched));
        at = upTo;
      }
    }
    return plan;
  }

  private static void append(List<Part> plan, Part next) {
    if (next.length == 0) {
      return;
    }
    Part last = plan.isEmpty() ? null : plan.get(plan.size() - 1);
    boolean missing = next.kind == Kind.MISSING;
    if (last != null
        && last.kind == next.kind
        && (!missing || last.length + next.length <= PIECE_BYTES)) {
      long joined = last.length + next.length;
      plan.set(plan.size() - 1, new Part(next.kind, last.offset, joined, next.fetched));
      return;
    }
    long from = next.offset;
    long end = next.offset + next.length;
    for (; missing && end - from > PIECE_BYTES; from += PIECE_BYTES) {
      plan.add(new Part(next.kind, from, PIECE_BYTES, next.fetched));
    }
    plan.add(new Part(next.kind, from, end - from, next.fetched));
  }

  /** Begins parts, whose missing bytes are charged. */
  private void begin(List<Part> plan, long missing) {
    parts |= plan.size() > 1;
    long left = missing;
    try {
      for (Part part : plan) {
        begin(part);
        left -= part.kind == Kind.MISSING ? part.length : 0;
      }
    } catch (RuntimeException | Error e) {
      owner.inFlight().discharge(left); // Nobody else will for what was not begun.
      throw e;
    }
  }

  private void begin(Part part) {
    OutputQueue out = owner.out();
    int bytes = (int) part.length;
    switch (part.kind) {
      case HOLE -> {
        ByteBuffer to = out.reserve(ReplyStyle.MAX_HEADER_BYTES);
        style.putHole(to, cookie, offset, part.offset, bytes, !parts);
        answered |= !parts;
        if (!part.fetched) {
          device.zeroesTold(part.offset, part.length);
        }
      }
      case PRESENT -> {
        open++;
        transferring = true;
        parts |= style.chunked(); // It may still fail, so the end is said later.
        ByteBuffer to = out.reserve(style.dataHeaderBytes);
        style.putData(to, cookie, offset, part.offset, bytes, false);
        out.add(new Transfer(owner.loop(), device, part.offset, part.length, part.fetched, this));
      }
      case MISSING -> {
        open++;
        awaited++;
        if (!mayFetch(part)
            || !new Fetching(this, owner.loop(), part.offset, bytes).start(device)) {
          new Reading(this, owner.loop(), style.dataHeaderBytes, part.offset, bytes).start(device);
        }
      }
    }
  }

  /** Whether a piece is better sent from where it will be: without a buffer, and not under TLS. */
  private boolean mayFetch(Part part) {
    return part.length > Transmission.COPY_BYTES
        && !part.fetched
        && !owner.connection().encrypted();
  }

  /** Takes what came of a piece. */
  void came(Piece piece, @Nullable Throwable failure) {
    awaited--;
    try {
      if (piece instanceof Fetching fetched) {
        send(fetched, failure);
      } else {
        take((Reading) piece, failure);
      }
      through();
    } catch (RuntimeException | Error e) {
      owner.connection().fail(e);
    }
    owner.loop().markDirty(owner.connection()); // Others may take their time to come.
  }

  private void send(Fetching piece, @Nullable Throwable failure) {
    List<Part> plan = List.of();
    try {
      if (answered || owner.connection().closed()) {
        LOG.log(Level.DEBUG, "a fetched piece comes too late: offset={0}", piece.offset);
      } else if (failure != null) {
        failed(piece.offset, failure);
      } else {
        plan = cut(piece.offset, piece.length, true);
      }
    } catch (IOException | RuntimeException e) {
      failed(piece.offset, e);
    } finally {
      owner.inFlight().discharge(piece.length - missing(plan));
    }
    begin(plan, missing(plan));
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
  }

  @Override
  public void ended(Transfer transfer, long failedAt, @Nullable Throwable failure) {
    if (failure != null && !answered) {
      failed(failedAt, failure);
    }
    through();
  }

  @Override
  public boolean pads() {
    return style.chunked();
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
    // What only has to go out is not failed: its client may still take it.
    if (!answered && awaited > 0 && (style.chunked() || !transferring)) {
      answer(Errno.ESHUTDOWN, NO_TEXT);
      // What comes later is dropped; the request counts until then no more.
      owner.inFlight().forget(this);
    }
  }
}
