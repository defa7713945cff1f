/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The fetches that are queued or under way, by their blocks; no two have one in common.
 *
 * <p>Keyed by the <em>next</em> block to land, and re-keyed as blocks land. A block that has landed
 * but could not be stored (the cache volume is full) is so simply absent again, and a new read
 * begins a new fetch.
 *
 * <p><b>Threads:</b> the lock of the {@link FetchTable} guards everything here.
 */
final class FetchesInFlight {

  private final TreeMap<Long, Fetch> byNext = new TreeMap<>();

  void add(Fetch fetch) {
    byNext.put(fetch.next, fetch);
  }

  /** Forgets a fetch, if it is here. */
  void remove(Fetch fetch) {
    byNext.remove(fetch.next, fetch);
  }

  /** Takes note that the blocks of a fetch up to a given one are through. */
  void landed(Fetch fetch, long landed) {
    byNext.remove(fetch.next, fetch);
    fetch.next = landed;
    if (landed < fetch.end) {
      byNext.put(landed, fetch);
    }
  }

  Collection<Fetch> all() {
    return byNext.values();
  }

  /** The fetch that will land a block, if there is one. */
  @Nullable Fetch covering(long block) {
    Map.Entry<Long, Fetch> entry = byNext.floorEntry(block);
    return entry != null && block < entry.getValue().end ? entry.getValue() : null;
  }

  /** The last fetch that begins before a block, if there is one. */
  @Nullable Fetch before(long block) {
    Map.Entry<Long, Fetch> entry = byNext.lowerEntry(block);
    return entry == null ? null : entry.getValue();
  }

  /** Where the first fetch begins that does so at a block or after it, or the limit. */
  long next(long block, long limit) {
    Long next = byNext.ceilingKey(block);
    return next == null ? limit : Math.min(next, limit);
  }

  /** Every block in at most one fetch, keys right, counts as in the queue. */
  boolean fits(FetchQueue queue) {
    long last = 0;
    int runningSeen = 0;
    for (Map.Entry<Long, Fetch> entry : byNext.entrySet()) {
      Fetch fetch = entry.getValue();
      if (entry.getKey() != fetch.next || fetch.next < last || fetch.end <= fetch.next) {
        return false;
      }
      last = fetch.end;
      runningSeen += fetch.background && fetch.state == Fetch.State.RUNNING ? 1 : 0;
    }
    return queue.fits(runningSeen);
  }
}
