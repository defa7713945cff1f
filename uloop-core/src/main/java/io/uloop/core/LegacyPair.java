/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Tells by their content whether files without a sidecar are a pair as the original made them.
 *
 * <p>Nothing in such files says how large a block is, and sizes of another unit may coincide: a
 * bitmap is never less than 4096 bytes. The original's unit was always {@link
 * Geometry#DEFAULT_BLOCK_BYTES}, so no other is believed where a bit is set.
 */
final class LegacyPair {

  private static final int SCAN_BYTES = 1 << 20;

  private LegacyPair() {}

  /** The highest bit that is set in a bitmap file; -1 if there is none. */
  static long lastBit(Storage.File bitmap) throws IOException {
    long size = PairFailures.size(bitmap);
    ByteBuffer chunk = ByteBuffer.allocate((int) Math.min(SCAN_BYTES, size));
    for (long end = size; end > 0; end -= chunk.limit()) {
      chunk.clear().limit((int) Math.min(SCAN_BYTES, end));
      long start = end - chunk.limit();
      PairFiles.read(bitmap, chunk, start);
      for (int i = chunk.limit() - 1; i >= 0; i--) {
        int bits = chunk.get(i) & 0xff;
        if (bits != 0) {
          return (start + i) * 8 + 31 - Integer.numberOfLeadingZeros(bits);
        }
      }
    }
    return -1;
  }

  /**
   * Says why a pair whose sizes fit must not be used in this geometry; null if it may be.
   *
   * @param lastBit its highest bit that is set
   */
  static @Nullable String objection(
      Storage storage, CachePair paths, Geometry geometry, long lastBit) throws IOException {
    if (geometry.blockSizeBytes() != Geometry.DEFAULT_BLOCK_BYTES) {
      return paths.sidecarFile()
          + ": missing, and without it the pair can only be one of the original, whose blocks are"
          + " of 4096 bytes, not of "
          + geometry.blockSizeBytes()
          + ": ask for no block size, or put the sidecar back";
    }
    if (lastBit / 8 > (geometry.blocks() - 1) / 8) {
      return paths.bitmapFile()
          + ": has bit "
          + lastBit
          + " set and no sidecar, but an image of "
          + geometry.sizeBytes()
          + " bytes has "
          + geometry.blocks()
          + " blocks of 4096 bytes";
    }
    Path file = paths.checksumFile();
    long bytes = size(storage, file);
    // An adoption that a crash cut short may leave an empty one.
    return bytes == 0 || bytes == geometry.blocks() * Integer.BYTES
        ? null
        : file
            + ": is "
            + bytes
            + " bytes, expected "
            + geometry.blocks() * Integer.BYTES
            + "; so the pair, which has no sidecar, was not of blocks of 4096 bytes";
  }

  private static long size(Storage storage, Path file) throws IOException {
    if (!storage.exists(file)) {
      return 0;
    }
    try (Storage.File open = storage.open(file, Storage.Mode.EXISTING)) {
      return PairFailures.size(open);
    } catch (IOException e) {
      throw PairFailures.of(file, "open", e);
    }
  }
}
