/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * A large set of bits that takes memory only where some are set.
 *
 * <p>Laid out in pages of {@link #PAGE_BYTES}, like the bitmap file: bit n is bit {@code n % 8} of
 * byte {@code n / 8}. A page that was never touched is not there; a page whose bits are all set is
 * the shared page {@link #FULL}. So a 16 TiB image with 4 KiB blocks costs half a MiB empty and no
 * more full.
 *
 * <p><b>Threads:</b> safe for any, without locks. Setting or clearing a bit is volatile, testing it
 * has acquire semantics: who sees a bit set sees what was done before it was set, and who clears
 * one sees what was done before it had been set (the committer clears a page's flag, then looks at
 * its bits). A clear that meets a set of the same bit is the caller's to order.
 */
final class PagedBits {

  /** The bitmap file grows in these steps too. */
  static final int PAGE_BYTES = 4096;

  static final int PAGE_BITS = PAGE_BYTES * 8;
  private static final int PAGE_LONGS = PAGE_BYTES / 8;
  private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
  private static final long[] FULL = new long[PAGE_LONGS];

  static {
    java.util.Arrays.fill(FULL, -1L);
  }

  private final long bits;
  private final AtomicReferenceArray<long @Nullable []> pages;

  /** Makes an empty set of bits 0 to {@code bits - 1}. */
  PagedBits(long bits) {
    this.bits = bits;
    this.pages = new AtomicReferenceArray<>(Math.toIntExact((bits + PAGE_BITS - 1) / PAGE_BITS));
  }

  long bits() {
    return bits;
  }

  int pageCount() {
    return pages.length();
  }

  boolean get(long bit) {
    long[] page = pages.get((int) (bit / PAGE_BITS));
    return page != null && ((long) WORD.getAcquire(page, word(bit)) & 1L << bit) != 0;
  }

  private static int word(long bit) {
    return (int) (bit % PAGE_BITS) >>> 6;
  }

  /** Whether all bits of the range are set. */
  boolean all(long from, long to) {
    return nextClear(from, to) == to;
  }

  /** The first clear bit in the range, or {@code to}. */
  long nextClear(long from, long to) {
    return next(from, to, -1L);
  }

  /** The first set bit in the range, or {@code to}. */
  long nextSet(long from, long to) {
    return next(from, to, 0L);
  }

  /** The first bit that differs from those of {@code same} (all ones or all zeroes). */
  private long next(long from, long to, long same) {
    long bit = from;
    while (bit < to) {
      long[] page = pages.get((int) (bit / PAGE_BITS));
      long pageEnd = Math.min(to, (bit / PAGE_BITS + 1) * PAGE_BITS);
      if (page == null || page == FULL) {
        if ((page == null) != (same == 0L)) {
          return bit;
        }
        bit = pageEnd;
        continue;
      }
      while (bit < pageEnd) {
        long different = ((long) WORD.getAcquire(page, word(bit)) ^ same) >>> bit;
        if (different != 0) {
          return Math.min(to, bit + Long.numberOfTrailingZeros(different));
        }
        bit = (bit | 63) + 1;
      }
    }
    return to;
  }

  /** Sets the bits of the range and tells how many were clear. */
  long set(long from, long to) {
    long changed = 0;
    for (long bit = from; bit < to; bit = (bit | 63) + 1) {
      long[] page = forWriting((int) (bit / PAGE_BITS));
      if (page == FULL) {
        continue;
      }
      long mask = mask(bit, to);
      long before = (long) WORD.getAndBitwiseOr(page, word(bit), mask);
      changed += Long.bitCount(mask & ~before);
    }
    return changed;
  }

  /** Clears the bits of the range and tells how many were set. */
  long clear(long from, long to) {
    long changed = 0;
    for (long bit = from; bit < to; bit = (bit | 63) + 1) {
      int index = (int) (bit / PAGE_BITS);
      long[] page = pages.get(index);
      if (page == FULL) {
        // Concurrent clears of one full page must agree on the copy.
        pages.compareAndExchange(index, FULL, FULL.clone());
        page = pages.get(index);
      }
      if (page == null) {
        continue;
      }
      long mask = mask(bit, to);
      long before = (long) WORD.getAndBitwiseAnd(page, word(bit), ~mask);
      changed += Long.bitCount(mask & before);
    }
    return changed;
  }

  private static long mask(long bit, long to) {
    long mask = -1L << bit;
    long end = (bit | 63) + 1;
    return end <= to ? mask : mask & -1L >>> (end - to);
  }

  private long[] forWriting(int index) {
    long[] page = pages.get(index);
    if (page == null) {
      long[] fresh = new long[PAGE_LONGS];
      long[] found = pages.compareAndExchange(index, null, fresh);
      page = found == null ? fresh : found;
    }
    return page;
  }

  /** Copies a page; bits set before the call are in the copy. */
  long[] copyOf(int index) {
    long[] copy = new long[PAGE_LONGS];
    long[] page = pages.get(index);
    if (page != null) {
      for (int i = 0; i < PAGE_LONGS; i++) {
        copy[i] = (long) WORD.getAcquire(page, i);
      }
    }
    return copy;
  }

  /** Puts a page in place of what was there; nobody else may be writing to it. */
  void load(int index, long[] words) {
    boolean empty = true;
    boolean full = true;
    for (long word : words) {
      empty &= word == 0;
      full &= word == -1;
    }
    pages.set(index, empty ? null : full ? FULL : words.clone());
  }

  /** How many bits of a range are set. */
  long count(long from, long to) {
    long count = 0;
    for (long bit = from; bit < to; bit = (bit | 63) + 1) {
      long[] page = pages.get((int) (bit / PAGE_BITS));
      if (page != null) {
        count += Long.bitCount((long) WORD.getAcquire(page, word(bit)) & mask(bit, to));
      }
    }
    return count;
  }

  /** How many bits are set. */
  long count() {
    long count = 0;
    for (int i = 0; i < pages.length(); i++) {
      long[] page = pages.get(i);
      if (page == FULL) {
        count += PAGE_BITS;
      } else if (page != null) {
        for (int w = 0; w < PAGE_LONGS; w++) {
          count += Long.bitCount((long) WORD.getAcquire(page, w));
        }
      }
    }
    return count;
  }
}
