/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.ReadCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import org.jspecify.annotations.Nullable;

/**
 * A range, large as a rule, that was present when its length was announced, on its way to a client.
 *
 * <p>Normally the device sends it to the socket itself, without a copy through the JVM. Over TLS it
 * goes through one chunk at a time. What was evicted after the announcement is read again, one
 * chunk at a time; if that fails, the rest is padded with zeroes as the protocol wants, and {@link
 * #end} tells the failure.
 *
 * <p><b>Threads:</b> the connection's loop; only {@link #done} is called by the device.
 */
final class Transfer implements ReadCompletion, Runnable {

  /** What becomes of the reply when its data are through. */
  interface End {
    /** Whether an error can follow zeroes; else a failure ends the connection. */
    boolean pads();

    /** Takes the place of the first byte that could not be read, and why; or no failure. */
    void ended(Transfer transfer, long failedAt, @Nullable Throwable failure);

    /** Is told that a read that the queue waits for is over. */
    void resumed();
  }

  private final EventLoop loop;
  private final BlockDevice device;

  /** Whether the device was asked to fetch it, and has counted it. */
  private final boolean fetched;

  private final End end;
  private long offset;
  private long remaining;

  /** The bytes that go through the JVM, if any. */
  private @Nullable Segment piece;

  private final ByteBuffer[] one = new ByteBuffer[1];
  private boolean reading;
  private boolean dropped;
  private long progress;
  private long failedAt;
  private @Nullable Throwable failure;

  /** Written by the device, then read by the loop, in the order of the loop's queue. */
  private @Nullable Throwable answer;

  Transfer(EventLoop loop, BlockDevice device, long offset, long length, boolean fetched, End end) {
    this.loop = loop;
    this.device = device;
    this.offset = offset;
    this.remaining = length;
    this.fetched = fetched;
    this.end = end;
  }

  /** Sends what goes now. */
  OutputQueue.State advance(Link link) throws IOException {
    WritableByteChannel direct = link.direct();
    while (!reading) {
      Segment now = piece;
      if (now != null) {
        one[0] = now.toSend();
        try {
          link.write(one, 1);
        } finally {
          progress += now.wasSent();
        }
        if (!now.allSent()) {
          return OutputQueue.State.FULL;
        }
        loop.recycle(now);
        piece = null;
      }
      if (remaining == 0) {
        return OutputQueue.State.EMPTY;
      }
      if (failure != null) {
        if (!end.pads()) {
          throw new IOException("a reply whose length was announced cannot be ended", failure);
        }
        pad();
      } else if (direct != null) {
        long sent =
            fetched
                ? device.transferFetched(offset, remaining, direct)
                : device.transferTo(offset, remaining, direct);
        if (sent > 0) {
          progress += sent;
          offset += sent;
          remaining -= sent;
        } else if (device.presentBytes(offset, 1) > 0) {
          return OutputQueue.State.FULL;
        } else {
          read();
        }
      } else if (!copy()) {
        read();
      }
    }
    return OutputQueue.State.WAITING;
  }

  private boolean copy() throws IOException {
    int length = pieceLength();
    Segment next = loop.chunk();
    next.bytes.limit(length);
    boolean present = false;
    try {
      present = device.tryRead(offset, next.bytes);
    } finally {
      next.bytes.limit(next.bytes.capacity());
      if (!present) {
        loop.recycle(next);
      }
    }
    if (!present) {
      return false;
    }
    took(next, length);
    return true;
  }

  private void pad() {
    int length = pieceLength();
    Segment next = loop.chunk();
    next.owner.setZero(0, length);
    next.bytes.position(length);
    took(next, length);
  }

  private void read() {
    Segment next = loop.chunk();
    next.bytes.limit(pieceLength());
    piece = next;
    reading = true;
    device.readAsync(offset, next.bytes, this);
  }

  @Override
  public void done(@Nullable Throwable outcome) {
    answer = outcome;
    loop.execute(this);
  }

  /** Takes the device's answer over, on the loop. */
  @Override
  public void run() {
    reading = false;
    Segment read = piece;
    if (read == null) {
      return;
    }
    if (dropped) {
      drop();
      return;
    }
    int length = read.bytes.limit();
    read.bytes.limit(read.bytes.capacity());
    if (answer == null) {
      read.bytes.position(length);
      took(read, length);
    } else {
      failure = answer;
      failedAt = offset;
      piece = null;
      loop.recycle(read);
    }
    end.resumed();
  }

  private void took(Segment next, int length) {
    piece = next;
    offset += length;
    remaining -= length;
  }

  private int pieceLength() {
    return (int) Math.min(remaining, Segment.CHUNK_BYTES);
  }

  /** Gives and forgets how many bytes went out. */
  long takeProgress() {
    long moved = progress;
    progress = 0;
    return moved;
  }

  void end() {
    end.ended(this, failedAt, failure);
  }

  /** Gives the buffer back, now or when the device does not need it any more. */
  void drop() {
    dropped = true;
    Segment held = piece;
    if (held != null && !reading) {
      piece = null;
      loop.recycle(held);
    }
  }
}
