/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * Notices readers that go forward, and keeps fetches ahead of them.
 *
 * <p>Up to {@link #STREAMS} readers at once. A stream is begun by a miss and confirmed by a read
 * that goes on where it stopped, or near it (a reader with many requests in flight is not quite in
 * order). Then its window is kept fetched ahead of it, a step at a time: waiting until half of it
 * is used up would let the line run dry in between. When half a window has been read, the window
 * grows fourfold, up to the limit and to twice what was read; but beyond {@link #MODEST} only to
 * what is read within a second, as others wait for what is on its way. A stream that is abandoned
 * with most of its window unread halves the window that the next streams begin with; one that was
 * used doubles it again. On a slow link a stream that reads only a small part of what it goes over
 * is left to what its misses reach.
 *
 * <p><b>Threads:</b> any. The check that every read makes ({@link #read}) reads a few fields
 * without a lock; races cost a late or a double look, never a wrong answer. Planning is done under
 * {@link #lock}, which is only tried: if somebody plans already, that is enough.
 */
final class ReadAhead {

  static final int STREAMS = 8;
  private static final long FIRST_WINDOW = 1 << 20;
  private static final long LEAST_WINDOW = 64 * 1024;
  private static final int GROWTH = 4;

  /** A window of this size is had by readers of any pace. */
  private static final long MODEST = 16 << 20;

  /** What is begun at once, at most; also the grid that it ends on. */
  private static final long MOST_STEP = 1 << 20;

  private static final long NEAR = 1 << 20;

  /** From which window on a stream is more than a file read to its end. */
  private static final long LONG = 4 << 20;

  /** On a slow link, who reads less than this part of what it goes over is not fetched ahead of. */
  private static final long SPARSE = 4;

  /** Over how much of what it went that is looked at, at most. */
  private static final long LOOK_BACK = 16 << 20;

  /** As {@link #NEAR}, of a stream that is not confirmed. */
  private static final long NEAR_FIRST = 32 * 1024;

  /** One reader that goes forward; fields are written under the lock, but for two. */
  private static final class Stream {
    /** Where the reader will go on, or -1 if the slot is free. */
    volatile long next = -1;

    /** Where it began: one that has read little is not fetched far ahead of. */
    volatile long start;

    /** How much it read from {@link #looked} on; written without the lock, a race may lose some. */
    long got;

    /** From where on what it read is compared with what it went over. */
    volatile long looked;

    /** How far has been begun to fetch. */
    volatile long ahead;

    /** How much is to be fetched ahead; 0 until the stream is confirmed. */
    volatile long window;

    /** Where the reader was when the window grew. */
    volatile long grown;

    /** When that was, by {@link #nanoTime}. */
    volatile long grownAt;

    /** The number of streams begun when it was last read. */
    volatile long lastUsed;
  }

  /** Begins background fetches for what is absent in a range; gives how many bytes were begun. */
  interface Planner {
    long begin(long from, long to);
  }

  private final long size;
  private final long maxWindow;
  private final Planner planner;
  private final BooleanSupplier slow;
  private final LongSupplier nanoTime;
  private final Stream[] streams = new Stream[STREAMS];
  private final ReentrantLock lock = new ReentrantLock();
  private volatile long clock;

  @GuardedBy("lock")
  private long firstWindow;

  /**
   * Makes a read-ahead.
   *
   * @param size of the device
   * @param maxWindow the most to be ahead of one reader, in bytes; 0 turns it off
   * @param slow whether bytes take longer to come than a wait for them, so that each counts
   * @param nanoTime a clock, {@link System#nanoTime}
   */
  ReadAhead(
      long size, long maxWindow, Planner planner, BooleanSupplier slow, LongSupplier nanoTime) {
    this.size = size;
    this.maxWindow = maxWindow;
    this.planner = planner;
    this.slow = slow;
    this.nanoTime = nanoTime;
    this.firstWindow = Math.min(FIRST_WINDOW, maxWindow);
    for (int i = 0; i < STREAMS; i++) {
      streams[i] = new Stream();
    }
  }

  /**
   * Takes note of a read.
   *
   * @param missed whether it had to wait; only such reads begin a stream
   * @return whether it belongs to a reader that has gone forward for long
   */
  boolean read(long offset, long length, boolean missed) {
    if (maxWindow == 0) {
      return false;
    }
    long end = offset + length;
    for (Stream stream : streams) {
      long next = stream.next;
      if (next < 0) {
        continue;
      }
      long window = stream.window;
      long near = window == 0 ? NEAR_FIRST : Math.max(NEAR, window / 2);
      long behind = next - Math.max(near, window);
      if (offset > next + near || offset < (window == 0 ? stream.start - near : behind)) {
        continue;
      }
      stream.lastUsed = clock;
      stream.got += length;
      if (end <= next) {
        // Another reader of the same: no stream of its own, which would push one out.
        return window >= LONG;
      }
      stream.next = end;
      if (window == 0 || stream.ahead - end <= window - step(window)) {
        goOn(stream, end);
      }
      return window >= LONG;
    }
    if (missed) {
      begin(offset, end);
    }
    return false;
  }

  private static long step(long window) {
    return Math.min(MOST_STEP, window / 4);
  }

  /** A reader that ends as suddenly as it began shall not have cost much more than it read. */
  private long most(Stream stream, long end) {
    return Math.min(maxWindow, 2 * (end - stream.start));
  }

  /**
   * What the reader reads in a second, as it did since the window grew; a modest window at least.
   */
  private long soon(Stream stream, long end, long now) {
    double seconds = (now - stream.grownAt) / 1e9;
    return Math.max(MODEST, (long) ((end - stream.grown) / seconds));
  }

  private void goOn(Stream stream, long end) {
    if (!lock.tryLock()) {
      return;
    }
    try {
      if (stream.next < 0 || end <= stream.start) {
        return; // given to another reader meanwhile
      }
      long over = end - stream.looked;
      if (over > LOOK_BACK) {
        stream.looked = end - over / 2;
        stream.got /= 2;
        over /= 2;
      }
      if (stream.got * SPARSE < over && slow.getAsBoolean()) {
        return;
      }
      long window = stream.window;
      if (window == 0) {
        window = Math.min(firstWindow, most(stream, end));
        stream.grown = end;
        stream.grownAt = nanoTime.getAsLong();
      } else if (end - stream.grown >= window / 2) {
        long now = nanoTime.getAsLong();
        window = Math.max(window, Math.min(most(stream, end), window * GROWTH));
        window = Math.min(window, soon(stream, end, now));
        stream.grown = end;
        stream.grownAt = now;
      }
      stream.window = window;
      long from = Math.max(stream.ahead, end);
      long to = end + window;
      if (to < size) {
        long step = Math.max(1, step(window));
        to -= to % step;
      } else {
        to = size;
      }
      if (from < to) {
        stream.ahead = to;
        planner.begin(from, to);
      }
    } finally {
      lock.unlock();
    }
  }

  private void begin(long start, long end) {
    if (!lock.tryLock()) {
      return;
    }
    try {
      Stream oldest = streams[0];
      for (Stream stream : streams) {
        if (stream.next < 0) {
          oldest = stream;
          break;
        }
        if (stream.lastUsed < oldest.lastUsed) {
          oldest = stream;
        }
      }
      judge(oldest);
      long now = clock + 1;
      clock = now;
      oldest.window = 0;
      oldest.start = start;
      oldest.ahead = end;
      oldest.got = end - start;
      oldest.looked = start;
      oldest.lastUsed = now;
      oldest.next = end;
    } finally {
      lock.unlock();
    }
  }

  /** Learns from a stream that is given up. */
  @GuardedBy("lock")
  private void judge(Stream stream) {
    long window = stream.window;
    if (stream.next < 0 || window == 0) {
      return;
    }
    long unread = Math.max(0, stream.ahead - stream.next);
    if (unread > window / 2) {
      firstWindow = Math.max(Math.min(LEAST_WINDOW, maxWindow), firstWindow / 2);
    } else {
      firstWindow = Math.min(Math.min(FIRST_WINDOW, maxWindow), firstWindow * 2);
    }
  }
}
