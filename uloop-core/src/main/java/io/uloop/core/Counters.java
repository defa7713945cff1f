/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.concurrent.atomic.LongAdder;

/** What a device counts; each adder may be bumped by any thread. See DeviceStatistics for units. */
final class Counters {
  final HitCounter hits = new HitCounter();
  final LongAdder misses = new LongAdder();
  final LongAdder joins = new LongAdder();

  /** Of reads that were no hits. */
  final LongAdder bytesWaitedFor = new LongAdder();

  final LongAdder fetches = new LongAdder();
  final LongAdder bytesFetched = new LongAdder();
  final LongAdder fetchFailures = new LongAdder();
  final LongAdder readAheadBytes = new LongAdder();
  final LongAdder readAheadUsedBytes = new LongAdder();

  /**
   * Reads that were hits only because blocks had been fetched that nobody had asked for; but for
   * those of readers that go forward for long.
   */
  final LongAdder savedReads = new LongAdder();

  final LongAdder evictedBytes = new LongAdder();
  final LongAdder passThroughBytes = new LongAdder();
  final LongAdder healedBlocks = new LongAdder();
}
