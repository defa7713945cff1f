/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

/**
 * A half-open range of bytes, {@code [start, end)}.
 *
 * @param start the first byte, zero or more
 * @param end one past the last byte, {@code start} or more
 * @since 0.1
 */
public record ByteRange(long start, long end) {

  /**
   * Checks the bounds.
   *
   * @param start see the record
   * @param end see the record
   * @throws IllegalArgumentException if {@code start} is negative or {@code end < start}
   */
  public ByteRange {
    if (start < 0 || end < start) {
      throw new IllegalArgumentException("not a range: start=" + start + " end=" + end);
    }
  }

  /**
   * Gives the range of {@code length} bytes at {@code offset}.
   *
   * @param offset the first byte
   * @param length how many bytes
   * @return the range
   * @throws IllegalArgumentException if either is negative
   * @throws ArithmeticException if the end does not fit a {@code long}
   */
  public static ByteRange ofLength(long offset, long length) {
    return new ByteRange(offset, Math.addExact(offset, length));
  }

  /**
   * Gives the number of bytes.
   *
   * @return {@code end - start}
   */
  public long length() {
    return end - start;
  }

  /**
   * Tells whether the range has no bytes.
   *
   * @return whether {@code start == end}
   */
  public boolean isEmpty() {
    return start == end;
  }

  /**
   * Tells whether the other range lies within this one.
   *
   * @param other the other range
   * @return whether every byte of {@code other} is in this range
   */
  public boolean contains(ByteRange other) {
    return start <= other.start && other.end <= end;
  }

  @Override
  public String toString() {
    return "[" + start + ", " + end + ")";
  }
}
