/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.ArrayDeque;

/**
 * Buffers for bodies, used again and again.
 *
 * <p>Two sizes, since 32 small reads at once and 8 large ones are the two usual loads: together
 * they keep at most 3 MiB. Beyond what is kept, buffers are made and left to the collector, so that
 * nobody ever waits for one.
 *
 * <p>Heap buffers: the JDK's sockets read into them through a direct buffer of their own either
 * way, 128 KiB at a time. Two of these make a piece that the cache stores in one go.
 */
final class BufferPool {

  static final int SMALL_BYTES = 32 * 1024;
  static final int LARGE_BYTES = 256 * 1024;
  private static final int SMALL_KEPT = 32;
  private static final int LARGE_KEPT = 8;

  // Guarded by this.
  private final ArrayDeque<byte[]> small = new ArrayDeque<>();
  private final ArrayDeque<byte[]> large = new ArrayDeque<>();
  private int lent;

  /** Lends a buffer; the larger size if that many bytes are wanted. */
  byte[] take(long wanted) {
    boolean isSmall = wanted <= SMALL_BYTES;
    byte[] kept;
    synchronized (this) {
      lent++;
      kept = (isSmall ? small : large).pollFirst();
    }
    return kept != null ? kept : new byte[isSmall ? SMALL_BYTES : LARGE_BYTES];
  }

  /** Takes a buffer back. */
  synchronized void give(byte[] buffer) {
    lent--;
    boolean isSmall = buffer.length == SMALL_BYTES;
    ArrayDeque<byte[]> kept = isSmall ? small : large;
    if (kept.size() < (isSmall ? SMALL_KEPT : LARGE_KEPT)) {
      kept.addFirst(buffer);
    }
  }

  /** Counts the buffers lent and not given back. */
  synchronized int lent() {
    return lent;
  }
}
