/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * What one connection still has to say, in order: buffers, and transfers that bypass the JVM.
 *
 * <p><b>Threads:</b> the connection's loop only. An empty queue holds no memory but itself.
 */
final class OutputQueue {

  /** What can be said of the queue after {@link #flush}. */
  enum State {
    /** All went out. */
    EMPTY,
    /** The socket takes no more for now. */
    FULL,
    /** The next bytes are still being read. */
    WAITING
  }

  private final EventLoop loop;
  private Link link;

  /** {@link Segment}s and {@link Transfer}s; two kinds, told apart in {@link #flush}. */
  private final Deque<Object> queue = new ArrayDeque<>(1);

  /** Bytes of the requests that are queued here, to be given back to the budget. */
  private long sentCharge;

  /** Bytes that went out since the last look; see {@link #takeProgress}. */
  private long progress;

  OutputQueue(EventLoop loop, Link link) {
    this.loop = loop;
    this.link = link;
  }

  /** Sends what follows another way; the queue must be empty. */
  void use(Link other) {
    link = other;
  }

  boolean isEmpty() {
    return queue.isEmpty();
  }

  /** Gives a buffer with at least that much room; what is put there is sent in order. */
  ByteBuffer reserve(int bytes) {
    if (queue.peekLast() instanceof Segment last && last.open && last.bytes.remaining() >= bytes) {
      return last.bytes;
    }
    Segment next = queue.isEmpty() && bytes <= Segment.CHUNK_BYTES ? loop.chunk() : null;
    if (next == null) {
      next = Segment.collecting(loop.allocate(Math.max(bytes, 4 << 10)));
    }
    queue.addLast(next);
    return next.bytes;
  }

  /** Tells how much still fits into the last collecting buffer. */
  int room() {
    return queue.isEmpty()
        ? Segment.CHUNK_BYTES
        : queue.peekLast() instanceof Segment last && last.open ? last.bytes.remaining() : 0;
  }

  void add(Segment segment) {
    queue.addLast(segment);
  }

  void add(Transfer transfer) {
    queue.addLast(transfer);
  }

  /**
   * Sends as much as goes out now.
   *
   * @param corked whether what ends a transfer may stay behind, to go out with what follows
   */
  State flush(boolean corked) throws IOException {
    while (!queue.isEmpty()) {
      if (queue.peekFirst() instanceof Transfer transfer) {
        State state = transfer.advance(link);
        progress += transfer.takeProgress();
        if (state != State.EMPTY) {
          return state;
        }
        queue.removeFirst();
        boolean last = queue.isEmpty();
        transfer.end();
        if (last && corked) {
          return State.EMPTY;
        }
      } else if (!writeSegments()) {
        return State.FULL;
      }
    }
    return link.flush() ? State.EMPTY : State.FULL;
  }

  /** Writes the segments at the head of the queue; tells whether all of them went out. */
  private boolean writeSegments() throws IOException {
    ByteBuffer[] gathered = loop.gathered();
    int count = 0;
    if (queue.size() == 1) {
      gathered[count++] = ((Segment) queue.getFirst()).toSend();
    } else {
      for (Object next : queue) {
        if (count == gathered.length || !(next instanceof Segment segment)) {
          break;
        }
        gathered[count++] = segment.toSend();
      }
    }
    try {
      link.write(gathered, count);
    } finally {
      settle(count);
    }
    for (int i = 0; i < count; i++) {
      if (!((Segment) queue.getFirst()).allSent()) {
        return false;
      }
      release((Segment) queue.removeFirst());
    }
    return true;
  }

  /** Takes over the positions of what was gathered, also if the write failed. */
  private void settle(int count) {
    if (queue.size() == 1) {
      progress += ((Segment) queue.getFirst()).wasSent();
      return;
    }
    for (Object next : queue) {
      if (count-- == 0) {
        break;
      }
      progress += ((Segment) next).wasSent();
    }
  }

  private void release(Segment segment) {
    sentCharge += segment.charge;
    loop.recycle(segment);
  }

  /** Gives and forgets the charge of what was sent or dropped. */
  long takeSentCharge() {
    long charge = sentCharge;
    sentCharge = 0;
    return charge;
  }

  /** Gives and forgets how many bytes went out. */
  long takeProgress() {
    long moved = progress;
    progress = 0;
    return moved;
  }

  /** Drops everything; a transfer that waits for the device is dropped when that answers. */
  void clear() {
    for (Object next : queue) {
      if (next instanceof Segment segment) {
        release(segment);
      } else if (next instanceof Transfer transfer) {
        transfer.drop();
      }
    }
    queue.clear();
  }
}
