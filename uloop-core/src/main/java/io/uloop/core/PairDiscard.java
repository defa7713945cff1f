/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheFormatException;
import io.uloop.CacheMismatchException;
import java.io.IOException;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Removes a pair, so that a crash between two steps leaves one that is empty or refused, never one
 * with bits that lie: bits cleared, sidecar, cache file, checksums, bitmap file removed.
 *
 * <p>Each state in between is one that {@link PairOpener} makes a pair of, or that this can go on
 * from. Files are locked first, and looked at: what is no pair is not touched.
 */
final class PairDiscard {

  private final Storage storage;
  private final CachePair paths;

  PairDiscard(Storage storage, CachePair paths) {
    this.storage = storage;
    this.paths = paths;
  }

  /** Does it; {@code false} if there was nothing to remove. */
  boolean run() throws IOException {
    boolean any =
        storage.exists(paths.bitmapFile())
            || storage.exists(paths.cacheFile())
            || storage.exists(paths.sidecarFile());
    if (!any) {
      return false;
    }
    PairNames.requireDistinct(storage, paths);
    try (PairLock bitmap = lock(paths.bitmapFile());
        PairLock cache = lock(paths.cacheFile())) {
      checkIsPair(bitmap, cache);
      if (bitmap != null) {
        clear(bitmap.file());
      }
      delete(paths.sidecarFile());
      delete(paths.cacheFile());
      delete(paths.checksumFile());
      delete(paths.bitmapFile());
    }
    return true;
  }

  private @Nullable PairLock lock(Path file) throws IOException {
    try {
      return storage.exists(file) ? PairLock.open(storage, file, Storage.Mode.EXISTING) : null;
    } catch (IOException e) {
      throw PairFailures.of(file, "open", e);
    }
  }

  /** Refuses files that were named by mistake. */
  private void checkIsPair(@Nullable PairLock bitmap, @Nullable PairLock cache) throws IOException {
    Sidecar sidecar = null;
    if (storage.exists(paths.sidecarFile())) {
      PairOpener opener = new PairOpener(storage, paths, true, WhenDifferent.FAIL);
      try {
        sidecar = opener.sidecar();
      } catch (CacheFormatException e) {
        if (!Sidecar.isOne(storage.readAll(paths.sidecarFile()))) {
          throw e; // a damaged one is still the sign of a pair
        }
        if (cache == null || cache.file().mark() != null) {
          return;
        }
      }
    }
    if (sidecar == null) {
      checkWithoutSidecar(bitmap, cache);
    } else if (cache != null && !isThatOf(sidecar, cache.file())) {
      throw new CacheMismatchException(
          paths.cacheFile()
              + ": is not the cache file of "
              + paths.bitmapFile()
              + ", by mark or inode: is "
              + CacheFileKey.of(cache.file())
              + " of "
              + PairFailures.size(cache.file())
              + " bytes, and "
              + paths.sidecarFile()
              + " says "
              + sidecar.cacheFileKey()
              + "; not removed (remove it by hand, if it is a copy)");
    }
  }

  /**
   * Whether this is the cache file that a sidecar speaks of. A mark is nobody's but ours, so the
   * size may be any: what is damaged is discarded, too.
   */
  private static boolean isThatOf(Sidecar sidecar, Storage.File cache) throws IOException {
    String is = CacheFileKey.of(cache);
    boolean marked = CacheFileKey.isMarked(is);
    // One that was made anew, by an open that a crash cut short.
    if (PairFailures.size(cache) == 0 || (marked && cache.allocatedBytes() == 0)) {
      return true;
    }
    if (marked) {
      return CacheFileKey.same(sidecar.cacheFileKey(), is);
    }
    Geometry geometry = new Geometry(sidecar.identity().size(), sidecar.blockSizeBytes());
    return CacheFileKey.sameInode(sidecar.cacheFileKey(), is)
        && PairFailures.size(cache) == geometry.cacheFileBytes();
  }

  /** By sizes, as far as they tell, and by the bits. */
  private void checkWithoutSidecar(@Nullable PairLock bitmap, @Nullable PairLock cache)
      throws IOException {
    long bitmapBytes = bitmap == null ? 0 : PairFailures.size(bitmap.file());
    long cacheBytes = cache == null ? 0 : PairFailures.size(cache.file());
    boolean fits;
    // Sizes first: what is no bitmap may be large, and is not read.
    if (cacheBytes > 0) {
      Geometry geometry = new Geometry(cacheBytes, Geometry.DEFAULT_BLOCK_BYTES);
      boolean ours = cache != null && cache.file().mark() != null; // of any unit
      fits =
          bitmapBytes % PagedBits.PAGE_BYTES == 0
              && (ours || bitmapBytes == geometry.bitmapFileBytes())
              && mayGo(geometry, lastBit(bitmap));
    } else {
      // As is left when a removal is cut short.
      fits = bitmapBytes % PagedBits.PAGE_BYTES == 0 && lastBit(bitmap) < 0;
    }
    if (!fits) {
      throw new CacheMismatchException(
          paths.bitmapFile()
              + " and "
              + paths.cacheFile()
              + ": no pair, of "
              + bitmapBytes
              + " and "
              + cacheBytes
              + " bytes and without a sidecar; not removed");
    }
  }

  /** A bitmap without bits, as a discard that was cut short leaves it, may be of any unit. */
  private boolean mayGo(Geometry geometry, long lastBit) throws IOException {
    return lastBit < 0 || LegacyPair.objection(storage, paths, geometry, lastBit) == null;
  }

  private static long lastBit(@Nullable PairLock bitmap) throws IOException {
    return bitmap == null ? -1 : LegacyPair.lastBit(bitmap.file());
  }

  /** Clears all bits; the size stays, as a bitmap of another size would be refused. */
  private void clear(Storage.File bitmap) throws IOException {
    long bytes = PairFailures.size(bitmap);
    try {
      bitmap.setSize(0);
      bitmap.setSize(bytes);
      bitmap.force();
    } catch (IOException e) {
      throw PairFailures.of(bitmap.path(), "clear", e);
    }
  }

  /** Removes a file; of a symbolic link what it leads to first, as that is what was read. */
  private void delete(Path file) throws IOException {
    try {
      Path target = storage.target(file);
      if (!target.equals(file)) {
        storage.delete(target);
        Path directory = target.toAbsolutePath().getParent();
        if (directory != null && storage.exists(directory)) {
          storage.forceDirectory(directory);
        }
      }
      storage.delete(file);
      storage.forceDirectory(file.toAbsolutePath().getParent());
    } catch (IOException e) {
      throw PairFailures.of(file, "delete", e);
    }
  }
}
