/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Blocks that the evictor is about to punch: they may be neither fetched nor stored, and readers of
 * them are planned again afterwards.
 *
 * <p><b>Threads:</b> the lock of the {@link FetchTable} guards everything here.
 */
final class Evictions {

  /** Blocks {@code [from, to)}, and what is to be run afterwards. */
  private record Eviction(long from, long to, List<Runnable> after) {}

  private final TreeMap<Long, Eviction> byStart = new TreeMap<>();

  void begin(long from, long to) {
    byStart.put(from, new Eviction(from, to, new ArrayList<>()));
  }

  /** Forgets an eviction; gives what is to be run now that it is over. */
  List<Runnable> end(long from) {
    Eviction eviction = byStart.remove(from);
    return eviction == null ? List.of() : eviction.after;
  }

  /** Forgets all. */
  List<Runnable> endAll() {
    List<Runnable> after = new ArrayList<>();
    byStart.values().forEach(eviction -> after.addAll(eviction.after));
    byStart.clear();
    return after;
  }

  /** Puts something off until an eviction within a range is over; false if there is none. */
  boolean defer(long from, long to, Runnable action) {
    for (Eviction eviction : byStart.values()) {
      if (eviction.from < to && from < eviction.to) {
        eviction.after.add(action);
        return true;
      }
    }
    return false;
  }

  boolean has(long block) {
    return after(block) > block;
  }

  /** Gives the end of the eviction that a block is in, or the block itself if it is in none. */
  long after(long block) {
    Map.Entry<Long, Eviction> entry = byStart.floorEntry(block);
    return entry == null ? block : Math.max(block, entry.getValue().to);
  }

  /** Gives the first block from here on that is being evicted, or the limit. */
  long next(long block, long limit) {
    Long next = byStart.ceilingKey(block);
    return next == null ? limit : Math.min(next, limit);
  }
}
