/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The blocks that are being sent to channels straight from the cache file.
 *
 * <p>A channel may take for ever, so the evictor does not wait for it as it does for other readers
 * ({@link ReaderGate}): it leaves such blocks in the file, for later. A sender notes its blocks
 * first and then looks whether they are present; the evictor clears their bits first and then looks
 * here. So one of the two sees the other.
 *
 * <p><b>Threads:</b> any. The lock is held for a look at a short list.
 */
final class SendingRanges {

  private final ReentrantLock lock = new ReentrantLock();

  @GuardedBy("lock")
  private final List<long[]> ranges = new ArrayList<>();

  /** Notes that blocks may be sent from now on; give what this returns to {@link #end}. */
  long[] begin(long from, long to) {
    long[] range = {from, to};
    lock.lock();
    try {
      ranges.add(range);
    } finally {
      lock.unlock();
    }
    return range;
  }

  void end(long[] range) {
    lock.lock();
    try {
      ranges.removeIf(one -> one == range);
    } finally {
      lock.unlock();
    }
  }

  /** Whether one of the blocks may be being sent. */
  boolean overlaps(long from, long to) {
    lock.lock();
    try {
      for (long[] range : ranges) {
        if (range[0] < to && from < range[1]) {
          return true;
        }
      }
      return false;
    } finally {
      lock.unlock();
    }
  }
}
