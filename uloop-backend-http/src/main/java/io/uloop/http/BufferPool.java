/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.List;

/**
 * Buffers for bodies, used again and again.
 *
 * <p>Three sizes, for small reads, larger ones, and whole fetches of a copy: together at most 15
 * MiB are kept by a pool. Nobody ever waits for a buffer: beyond what is kept, ones of the two
 * smaller sizes are made in the heap and left to the collector. Of whole ones there are eight,
 * fewer in a heap under half a gigabyte; who comes when all are lent gets a smaller one.
 *
 * <p>Who gets a whole one can empty its socket in one go before anything else is done with the
 * bytes, which costs the kernel less.
 *
 * <p>A pool is of heap buffers, for bodies that HttpClient or TLS hands over, or of direct ones,
 * which the kernel fills and empties without a copy. Of these there is one for all sources, as a
 * direct buffer is never left to the collector, which would come for it only when the heap is full.
 * Once the JVM has refused direct memory no more is asked for, as it tries for half a second before
 * it refuses.
 */
final class BufferPool {

  static final int SMALL_BYTES = 32 * 1024;
  static final int LARGE_BYTES = 256 * 1024;
  static final int WHOLE_BYTES = 1024 * 1024;

  private static final int SMALL_MOST = 32;
  // With the whole ones, enough for as many connections as there are by default.
  private static final int LARGE_MOST = 24;
  private static final int WHOLE_MOST = 8;
  private static final long HEAP_FOR_A_WHOLE = 64L << 20;

  /** The buffers of one size; guarded by the pool. */
  private static final class Shelf {
    private final int bytes;
    private final int most;
    private final ArrayDeque<ByteBuffer> kept = new ArrayDeque<>();
    private int lent;

    /** How many direct ones there are, kept or lent. */
    private int direct;

    Shelf(int bytes, int most) {
      this.bytes = bytes;
      this.most = most;
    }
  }

  /** The direct buffers of all sources. */
  static final BufferPool DIRECT = new BufferPool(true);

  private final boolean direct;
  private final Shelf small = new Shelf(SMALL_BYTES, SMALL_MOST);
  private final Shelf large = new Shelf(LARGE_BYTES, LARGE_MOST);
  private final Shelf whole;

  // Guarded by this.
  private boolean refused;

  /** Makes a pool, of direct buffers or not, that suits the heap. */
  BufferPool(boolean direct) {
    this(direct, (int) Math.min(WHOLE_MOST, Runtime.getRuntime().maxMemory() / HEAP_FOR_A_WHOLE));
  }

  /** Makes a pool that lends so many whole buffers at once. */
  BufferPool(boolean direct, int wholeMost) {
    this.direct = direct;
    this.whole = new Shelf(WHOLE_BYTES, wholeMost);
  }

  /**
   * Lends a buffer: of the smallest size that holds so many bytes, or of the largest that there is.
   */
  ByteBuffer take(long wanted) {
    Shelf shelf;
    boolean makeDirect;
    synchronized (this) {
      if (wanted <= SMALL_BYTES) {
        shelf = small;
      } else if (wanted <= LARGE_BYTES || whole.lent == whole.most) {
        shelf = large;
      } else {
        shelf = whole;
      }
      shelf.lent++;
      ByteBuffer kept = shelf.kept.pollFirst();
      if (kept != null) {
        return kept;
      }
      makeDirect = direct && !refused && shelf.direct < shelf.most;
      shelf.direct += makeDirect ? 1 : 0;
    }
    try {
      return makeDirect ? makeDirect(shelf) : ByteBuffer.allocate(shelf.bytes);
    } catch (OutOfMemoryError e) {
      synchronized (this) {
        shelf.lent--;
      }
      throw e;
    }
  }

  private ByteBuffer makeDirect(Shelf shelf) {
    try {
      return ByteBuffer.allocateDirect(shelf.bytes);
    } catch (OutOfMemoryError e) {
      synchronized (this) {
        shelf.direct--;
        refused = true;
      }
      return ByteBuffer.allocate(shelf.bytes);
    }
  }

  /** Takes a buffer back. */
  synchronized void give(ByteBuffer buffer) {
    for (Shelf shelf : List.of(small, large, whole)) {
      if (buffer.capacity() == shelf.bytes) {
        shelf.lent--;
        if (buffer.isDirect() == direct && shelf.kept.size() < shelf.most) {
          shelf.kept.addFirst(buffer);
        }
      }
    }
  }

  /** Counts the buffers lent and not given back. */
  synchronized int lent() {
    return small.lent + large.lent + whole.lent;
  }
}
