/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

/**
 * The sizes of an image and of the pair that caches it.
 *
 * @param sizeBytes the image's size
 * @param blockSizeBytes the unit of presence, a power of two of 512 or more
 */
record Geometry(long sizeBytes, int blockSizeBytes) {

  /** The unit of presence of a pair that does not say otherwise: the original's. */
  static final int DEFAULT_BLOCK_BYTES = 4096;

  Geometry {
    if (Integer.bitCount(blockSizeBytes) != 1 || blockSizeBytes < 512 || blockSizeBytes > 1 << 20) {
      throw new IllegalArgumentException(
          "block size must be a power of two from 512 to 1048576: blockSizeBytes="
              + blockSizeBytes);
    }
    if (sizeBytes < 0 || sizeBytes > Long.MAX_VALUE - (1 << 20)) {
      throw new IllegalArgumentException("not a size: sizeBytes=" + sizeBytes);
    }
  }

  private int shift() {
    return Integer.numberOfTrailingZeros(blockSizeBytes);
  }

  /** The number of blocks; the last may be partial. */
  long blocks() {
    return firstBlockAtOrAfter(sizeBytes);
  }

  /** The block that holds a byte. */
  long blockOf(long offset) {
    return offset >> shift();
  }

  /** The first block that begins at or after a byte. */
  long firstBlockAtOrAfter(long offset) {
    return (offset + blockSizeBytes - 1) >> shift();
  }

  /** Where a block begins. */
  long startOf(long block) {
    return block << shift();
  }

  /** Where a run of blocks that ends before {@code block} ends in the image. */
  long endBefore(long block) {
    return Math.min(block << shift(), sizeBytes);
  }

  /** The cache file's size: whole blocks. */
  long cacheFileBytes() {
    return blocks() << shift();
  }

  /** The bitmap file's size: ceil(blocks / 8), rounded up to 4096, never less. */
  long bitmapFileBytes() {
    long bytes = (blocks() + 7) / 8;
    return Math.max(
        PagedBits.PAGE_BYTES,
        (bytes + PagedBits.PAGE_BYTES - 1) / PagedBits.PAGE_BYTES * PagedBits.PAGE_BYTES);
  }

  /** Checks that a range is within the image. */
  void check(long offset, long length) {
    if (offset < 0 || length < 0 || offset > sizeBytes - length) {
      throw new IndexOutOfBoundsException(
          "not within the device: offset=" + offset + " length=" + length + " size=" + sizeBytes);
    }
  }
}
