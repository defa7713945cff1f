/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;

/**
 * Buffers for bodies, used again and again.
 *
 * <p>Three sizes, for small reads, larger ones, and whole fetches of a copy: together they keep at
 * most 11 MiB. Beyond what is kept, buffers of the two smaller sizes are made and left to the
 * collector, so that nobody ever waits for one. Of whole ones there are eight, fewer in a heap
 * under half a gigabyte; who comes when all are lent gets a smaller one.
 *
 * <p>Who gets a whole one can empty its socket in one go before anything else is done with the
 * bytes, which costs the kernel less.
 *
 * <p>A pool is of heap buffers, for bodies that HttpClient or TLS hands over, or of direct ones,
 * which the kernel fills and empties without a copy. Once the JVM has refused direct memory the
 * latter makes heap buffers too, as it tries for half a second before it refuses.
 */
final class BufferPool {

  static final int SMALL_BYTES = 32 * 1024;
  static final int LARGE_BYTES = 256 * 1024;
  static final int WHOLE_BYTES = 1024 * 1024;

  private static final int SMALL_KEPT = 32;
  private static final int LARGE_KEPT = 8;
  private static final int WHOLE_MOST = 8;
  private static final long HEAP_FOR_A_WHOLE = 64L << 20;

  private final boolean direct;
  private final int wholeMost;

  // Guarded by this.
  private final ArrayDeque<ByteBuffer> small = new ArrayDeque<>();
  private final ArrayDeque<ByteBuffer> large = new ArrayDeque<>();
  private final ArrayDeque<ByteBuffer> whole = new ArrayDeque<>();
  private int lent;
  private int wholeLent;
  private boolean refused;

  /** Makes a pool, of direct buffers or not, that suits the heap. */
  BufferPool(boolean direct) {
    this(direct, (int) Math.min(WHOLE_MOST, Runtime.getRuntime().maxMemory() / HEAP_FOR_A_WHOLE));
  }

  /** Makes a pool that lends so many whole buffers at once. */
  BufferPool(boolean direct, int wholeMost) {
    this.direct = direct;
    this.wholeMost = wholeMost;
  }

  /**
   * Lends a buffer: of the smallest size that holds so many bytes, or of the largest that there is.
   */
  ByteBuffer take(long wanted) {
    int length;
    ByteBuffer kept;
    boolean makeDirect;
    synchronized (this) {
      lent++;
      if (wanted <= SMALL_BYTES) {
        length = SMALL_BYTES;
      } else if (wanted <= LARGE_BYTES || wholeLent == wholeMost) {
        length = LARGE_BYTES;
      } else {
        length = WHOLE_BYTES;
        wholeLent++;
      }
      kept = kept(length).pollFirst();
      makeDirect = direct && !refused;
    }
    try {
      return kept != null ? kept : make(length, makeDirect);
    } catch (OutOfMemoryError e) {
      returned(length);
      throw e;
    }
  }

  private ByteBuffer make(int length, boolean makeDirect) {
    if (makeDirect) {
      try {
        return ByteBuffer.allocateDirect(length);
      } catch (OutOfMemoryError e) {
        synchronized (this) {
          refused = true;
        }
      }
    }
    return ByteBuffer.allocate(length);
  }

  private ArrayDeque<ByteBuffer> kept(int length) {
    return switch (length) {
      case SMALL_BYTES -> small;
      case LARGE_BYTES -> large;
      default -> whole;
    };
  }

  /** Takes a buffer back. */
  synchronized void give(ByteBuffer buffer) {
    returned(buffer.capacity());
    ArrayDeque<ByteBuffer> kept = kept(buffer.capacity());
    int most =
        switch (buffer.capacity()) {
          case SMALL_BYTES -> SMALL_KEPT;
          case LARGE_BYTES -> LARGE_KEPT;
          default -> wholeMost;
        };
    if (kept.size() < most) {
      kept.addFirst(buffer);
    }
  }

  private synchronized void returned(int length) {
    lent--;
    wholeLent -= length == WHOLE_BYTES ? 1 : 0;
  }

  /** Counts the buffers lent and not given back. */
  synchronized int lent() {
    return lent;
  }
}
