/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

/**
 * Counters of a device since it was opened; a snapshot.
 *
 * <p><b>Units:</b> bytes where the name says so, else occurrences. The figures of one snapshot may
 * be a few operations apart.
 *
 * @param reads reads that readers asked for
 * @param bytesRead bytes of those reads, also of one that failed
 * @param hits reads answered wholly from what was present
 * @param misses reads that began at least one fetch
 * @param joins reads that waited only for fetches begun by others
 * @param fetches reads of the source
 * @param bytesFetched bytes that came from the source
 * @param fetchFailures fetches that failed
 * @param readAheadBytes bytes that came, or were told to be zero, and that no reader had asked for
 * @param readAheadUsedBytes of the read-ahead bytes, those that a reader asked for later
 * @param evictedBytes bytes dropped from the cache file to stay within its limit
 * @param passThroughBytes bytes answered from the source without being stored, as the cache volume
 *     was full or failing
 * @param healedBlocks blocks whose checksum did not fit and that were fetched again
 * @param presentBytes bytes present now
 * @since 0.1
 */
public record DeviceStatistics(
    long reads,
    long bytesRead,
    long hits,
    long misses,
    long joins,
    long fetches,
    long bytesFetched,
    long fetchFailures,
    long readAheadBytes,
    long readAheadUsedBytes,
    long evictedBytes,
    long passThroughBytes,
    long healedBlocks,
    long presentBytes) {

  /**
   * Gives the share of reads that waited for no fetch.
   *
   * @return 0 to 1; 1 if there were no reads
   */
  public double hitRatio() {
    return reads == 0 ? 1 : (double) hits / reads;
  }
}
