/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ReadAheadTest {

  private static final long SIZE = 1L << 30;
  private static final int READ = 128 << 10;
  private static final long LIMIT = 16 << 20;

  /** Where the last planned range ends, and how much was planned in all. */
  private long ahead;

  private long planned;

  private boolean slow;

  private long now;

  private final ReadAhead readAhead = of(LIMIT);

  private ReadAhead of(long limit) {
    return new ReadAhead(
        SIZE,
        limit,
        (from, to) -> {
          assertThat(from).isGreaterThanOrEqualTo(ahead);
          assertThat(to).isLessThanOrEqualTo(SIZE);
          planned += to - from;
          ahead = to;
          return to - from;
        },
        () -> slow,
        () -> now);
  }

  private void readTo(long from, long to) {
    for (long at = from; at < to; at += READ) {
      readAhead.read(at, READ, at == from);
    }
  }

  @Test
  void sequentialReader_isFetchedAheadOfWithoutAGap() {
    readTo(0, 32 << 20);

    for (long at = 32 << 20; at < 128 << 20; at += READ) {
      readAhead.read(at, READ, false);
      // Never less than the window without the step that is gathered, and its rounding.
      assertThat(ahead - (at + READ)).isBetween(LIMIT - (2 << 20), LIMIT);
    }
  }

  @Test
  void window_isNoMoreThanIsReadInASecondOrModest() {
    long modest = 16 << 20;
    long limit = 2 * modest;
    long nanosEach = 1_000_000_000L / (limit / READ);
    ReadAhead wide = of(limit);
    // 21 MiB in a second; then 32, and at last 3.
    for (long at = 0; at < 192 << 20; at += READ) {
      wide.read(at, READ, at == 0);
      now += nanosEach / 2 * 3;
      assertThat(ahead - (at + READ)).isLessThanOrEqualTo(limit / 3 * 2 + READ);
    }
    assertThat(ahead - (192 << 20)).isGreaterThan(modest);
    for (long at = 192 << 20; at < 256 << 20; at += READ) {
      wide.read(at, READ, false);
      now += nanosEach;
    }
    assertThat(ahead - (256 << 20)).isBetween(limit - (2 << 20), limit);
    for (long at = 256 << 20; at < 320 << 20; at += READ) {
      wide.read(at, READ, false);
      now += nanosEach * 10;
    }
    assertThat(ahead - (320 << 20)).isBetween(modest - (2 << 20), modest);
  }

  @Test
  void smallLimit_isReachedAtAnyPace() {
    ReadAhead narrow = of(1 << 20);
    for (long at = 0; at < 8 << 20; at += READ) {
      narrow.read(at, READ, at == 0);
      now += 1_000_000_000L;
    }
    assertThat(ahead - (8 << 20)).isBetween((1L << 20) - (256 << 10), 1L << 20);
  }

  @Test
  void copyOfItAll_isToldFromTheReadingOfFiles() {
    for (long file = 64 << 20; file < 128 << 20; file += 8 << 20) {
      for (long at = file; at < file + (1 << 20); at += READ) {
        assertThat(readAhead.read(at, READ, at == file)).isFalse();
      }
      assertThat(readAhead.read(file, READ, false)).as("what is behind").isFalse();
    }
    readTo(256 << 20, 288 << 20);

    assertThat(readAhead.read(288 << 20, READ, false)).isTrue();
  }

  @Test
  void shortReader_hasNoMoreFetchedThanTwiceWhatItRead() {
    for (long length = 2 * READ; length <= 8 << 20; length *= 2) {
      planned = 0;
      long start = ahead + (64 << 20);
      readTo(start, start + length);
      assertThat(planned).isPositive();
      assertThat(ahead - (start + length)).isLessThanOrEqualTo(2 * length);
    }
  }

  /** Reads 16 KiB of every 256. */
  private void readSparsely(long from, long to) {
    for (long at = from; at < to; at += 256 << 10) {
      readAhead.read(at, 16 << 10, true);
      readAhead.read(at + (16 << 10), 4096, true);
    }
  }

  @Test
  void sparseReader_isNotFetchedAheadOfWhenTheLinkIsSlow() {
    readSparsely(0, 64 << 20);
    assertThat(planned).isGreaterThan(32 << 20);

    slow = true;
    readSparsely(96 << 20, 97 << 20); // it begins as one that reads all
    planned = 0;
    readSparsely(97 << 20, 160 << 20);
    assertThat(planned).isZero();

    readTo(256 << 20, 272 << 20);
    assertThat(planned).as("of a reader of everything").isGreaterThan(16 << 20);
  }

  @Test
  void readerOfEverythingOutOfOrder_isFetchedAheadOfWhenTheLinkIsSlow() {
    slow = true;
    readTo(0, 1 << 20);
    for (long at = 1 << 20; at < 64 << 20; at += 16 * READ) {
      for (int i = 15; i >= 0; i--) {
        readAhead.read(at + i * READ, READ, false);
      }
    }
    assertThat(ahead).isGreaterThan(64 << 20);
  }

  @Test
  void randomReader_hasNothingFetchedAhead() {
    long at = 1;
    for (int i = 0; i < 1000; i++) {
      at = (at * 6364136223846793005L + 1442695040888963407L) & (SIZE - 1);
      readAhead.read(Math.min(at & -4096, SIZE - 4096), 4096, true);
    }

    // Two of a thousand may be neighbours by chance.
    assertThat(planned).isLessThan(1 << 20);
  }

  @Test
  void manyReadersOfOnePlace_pushNoStreamOut() {
    long[] starts = new long[ReadAhead.STREAMS - 1];
    for (int i = 0; i < starts.length; i++) {
      starts[i] = (i + 1) * (64L << 20);
      ahead = 0;
      readTo(starts[i], starts[i] + (4 << 20));
    }
    for (int n = 0; n < 20; n++) {
      readAhead.read(0, READ, true);
    }

    for (long start : starts) {
      planned = 0;
      ahead = 0;
      for (long at = start + (4 << 20); at < start + (8 << 20); at += READ) {
        readAhead.read(at, READ, false);
      }
      assertThat(planned).as("planned for the reader that began at %d", start).isPositive();
    }
  }

  @Test
  void endOfDevice_isTheEndOfAllPlanning() {
    readTo(SIZE - (32 << 20), SIZE);

    assertThat(ahead).isEqualTo(SIZE);
  }

  @Test
  void limitOfZero_turnsItOff() {
    ReadAhead off =
        new ReadAhead(
            SIZE,
            0,
            (from, to) -> {
              throw new AssertionError();
            },
            () -> slow,
            () -> now);
    for (long at = 0; at < 4 << 20; at += READ) {
      off.read(at, READ, true);
    }
    assertThat(planned).isZero();
  }
}
