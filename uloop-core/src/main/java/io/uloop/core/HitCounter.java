/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.LongAdder;

/**
 * Counts hits and their bytes, exactly, and without an atomic instruction for most threads.
 *
 * <p>An atomic add waits until all earlier loads and stores are through, so that a copy out of the
 * page cache cannot overlap with the next one; that costs a hit more than the addition itself. So
 * each {@link Stripe} belongs to the first thread that comes to it, which alone writes it. Whoever
 * finds its stripe taken adds atomically. A stripe stays with its thread, also when that has ended.
 *
 * <p><b>Threads:</b> any. A sum taken while others count may miss their last.
 */
final class HitCounter {

  private static final int STRIPES = 64;
  private static final VarHandle OWNER;
  private static final VarHandle HITS;
  private static final VarHandle BYTES;

  static {
    try {
      MethodHandles.Lookup lookup = MethodHandles.lookup();
      OWNER = lookup.findVarHandle(Stripe.class, "owner", long.class);
      HITS = lookup.findVarHandle(Stripe.class, "hits", long.class);
      BYTES = lookup.findVarHandle(Stripe.class, "bytes", long.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  /** What one thread counted; a cache line and more for itself, as neighbours are written too. */
  @SuppressWarnings("unused") // through the handles; the rest is padding
  private static final class Stripe {
    private long owner;
    private long hits;
    private long bytes;
    private long pad1;
    private long pad2;
    private long pad3;
    private long pad4;
    private long pad5;
    private long pad6;
    private long pad7;
    private long pad8;
    private long pad9;
  }

  private final Stripe[] stripes = new Stripe[STRIPES];
  private final LongAdder otherHits = new LongAdder();
  private final LongAdder otherBytes = new LongAdder();

  HitCounter() {
    for (int i = 0; i < STRIPES; i++) {
      stripes[i] = new Stripe();
    }
  }

  /** Counts one hit. */
  void add(long bytes) {
    long id = Thread.currentThread().getId(); // never 0, never given twice
    Stripe stripe = stripes[(int) id & (STRIPES - 1)];
    long owner = (long) OWNER.getOpaque(stripe);
    if (owner == id || (owner == 0 && OWNER.compareAndSet(stripe, 0L, id))) {
      HITS.setOpaque(stripe, (long) HITS.getOpaque(stripe) + 1);
      BYTES.setOpaque(stripe, (long) BYTES.getOpaque(stripe) + bytes);
    } else {
      otherHits.increment();
      otherBytes.add(bytes);
    }
  }

  long hits() {
    return sum(HITS, otherHits);
  }

  long bytes() {
    return sum(BYTES, otherBytes);
  }

  private long sum(VarHandle field, LongAdder others) {
    long sum = others.sum();
    for (Stripe stripe : stripes) {
      sum += (long) field.getOpaque(stripe);
    }
    return sum;
  }
}
