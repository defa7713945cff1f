/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheFormatException;
import io.uloop.CacheMismatchException;
import io.uloop.SourceIdentity;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Looks at the files of a pair and decides what to do with them; changes none of them. The table is
 * at {@link PairOpener}.
 */
final class PairInspection {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  private final Storage storage;
  private final CachePair paths;
  private final WhenDifferent whenDifferent;

  PairInspection(Storage storage, CachePair paths, WhenDifferent whenDifferent) {
    this.storage = storage;
    this.paths = paths;
    this.whenDifferent = whenDifferent;
  }

  /**
   * Reads what the pair says of itself, if it says anything, without locking it.
   *
   * @throws CacheFormatException if the sidecar is damaged or too new
   */
  @Nullable Sidecar sidecar() throws IOException {
    Path file = paths.sidecarFile();
    if (!storage.exists(file)) {
      return null;
    }
    byte[] bytes;
    try {
      bytes = storage.readAll(file);
    } catch (IOException e) {
      throw PairFailures.of(file, "read", e);
    }
    if (bytes.length > Storage.MOST_BYTES) {
      throw new CacheFormatException(
          file + ": is no sidecar: is of more than " + Storage.MOST_BYTES + " bytes");
    }
    return Sidecar.parse(file, bytes);
  }

  /** What to do with the files found. */
  record Plan(
      SourceIdentity identity,
      Geometry geometry,
      boolean make,
      boolean everyBlockHasChecksum,
      @Nullable Sidecar found) {

    Plan anew() {
      return new Plan(identity, geometry, true, false, found);
    }
  }

  /**
   * Decides by sidecar and sizes.
   *
   * @throws CacheMismatchException if the pair does not fit, and is not to be made anew
   */
  Plan plan(
      @Nullable SourceIdentity identity,
      int blockSizeBytes,
      Storage.File bitmap,
      Storage.File cache)
      throws IOException {
    int wanted = blockSizeBytes == 0 ? Geometry.DEFAULT_BLOCK_BYTES : blockSizeBytes;
    Sidecar found;
    try {
      found = sidecar();
    } catch (CacheFormatException e) {
      if (whenDifferent != WhenDifferent.RECREATE || identity == null) {
        throw e;
      }
      LOG.log(Level.WARNING, "{0}; the pair is made anew", e.getMessage());
      return new Plan(identity, new Geometry(identity.size(), wanted), true, false, null);
    }
    if (found == null) {
      if (identity == null) {
        throw new CacheMismatchException(
            paths.sidecarFile() + ": missing, so the pair cannot be used without its source");
      }
      Geometry geometry = new Geometry(identity.size(), wanted);
      return new Plan(identity, geometry, !adopt(geometry, bitmap, cache), false, null);
    }
    SourceIdentity is = identity == null ? found.identity() : identity;
    List<String> differences = differences(found, is, blockSizeBytes);
    Geometry geometry =
        new Geometry(is.size(), blockSizeBytes == 0 ? found.blockSizeBytes() : blockSizeBytes);
    if (differences.isEmpty()) {
      differences = sizeDifferences(geometry, bitmap, cache);
    }
    if (differences.isEmpty()) {
      return new Plan(is, geometry, false, found.checksums(), found);
    }
    if (whenDifferent == WhenDifferent.FAIL) {
      throw new CacheMismatchException(
          paths.sidecarFile()
              + ": the pair does not fit the source: "
              + String.join("; ", differences)
              + " (re-create it, or name another pair)");
    }
    LOG.log(
        Level.WARNING,
        "{0}: {1}; the pair is made anew",
        paths.sidecarFile(),
        String.join("; ", differences));
    return new Plan(is, geometry, true, false, found);
  }

  private static List<String> differences(Sidecar found, SourceIdentity is, int blockSizeBytes) {
    List<String> differences = new ArrayList<>();
    SourceIdentity was = found.identity();
    compare(differences, "source", was.uri(), is.uri());
    compare(differences, "size", was.size(), is.size());
    compare(
        differences,
        "validator",
        was.validator().map(Object::toString).orElse("none"),
        is.validator().map(Object::toString).orElse("none"));
    if (blockSizeBytes != 0) {
      compare(differences, "block size", found.blockSizeBytes(), blockSizeBytes);
    }
    return differences;
  }

  private static void compare(List<String> differences, String what, Object was, Object is) {
    if (!was.equals(is)) {
      differences.add(what + " was " + was + ", is " + is);
    }
  }

  /** What is wrong with the sizes of a pair that has a sidecar. */
  private List<String> sizeDifferences(Geometry geometry, Storage.File bitmap, Storage.File cache)
      throws IOException {
    List<String> differences = new ArrayList<>();
    if (PairFailures.size(bitmap) != geometry.bitmapFileBytes()) {
      differences.add(
          "bitmap file "
              + paths.bitmapFile()
              + " is "
              + PairFailures.size(bitmap)
              + " bytes, expected "
              + geometry.bitmapFileBytes());
    }
    if (PairFailures.size(cache) != geometry.cacheFileBytes()) {
      differences.add(
          "cache file "
              + paths.cacheFile()
              + " is "
              + PairFailures.size(cache)
              + " bytes, expected "
              + geometry.cacheFileBytes());
    }
    return differences;
  }

  /**
   * Whether files without a sidecar are a legacy pair of this image; false if there are none.
   *
   * @throws CacheMismatchException if they are not, or cannot be told, and are not to be made anew
   */
  private boolean adopt(Geometry geometry, Storage.File bitmap, Storage.File cache)
      throws IOException {
    long bitmapBytes = PairFailures.size(bitmap);
    long cacheBytes = PairFailures.size(cache);
    if (bitmapBytes == 0 && cacheBytes == 0) {
      return false;
    }
    // The original did not always round the cache file up to a whole block.
    boolean cacheFits =
        cacheBytes >= geometry.sizeBytes() && cacheBytes <= geometry.cacheFileBytes();
    boolean bitmapFits = bitmapBytes == geometry.bitmapFileBytes();
    String objection = null;
    if (bitmapFits && (cacheFits || cacheBytes == 0)) {
      long lastBit = LegacyPair.lastBit(bitmap);
      if (lastBit < 0 && !cacheFits) {
        return false;
      }
      // Without a bit nothing in it is believed, whatever the unit.
      objection =
          lastBit < 0 || !cacheFits
              ? null
              : LegacyPair.objection(storage, paths, geometry, lastBit);
      if (cacheFits && objection == null) {
        LOG.log(
            Level.INFO,
            "{0}: no sidecar; adopted as a legacy pair of {1} bytes",
            paths.bitmapFile(),
            Long.toString(geometry.sizeBytes()));
        return true;
      }
    }
    if (whenDifferent == WhenDifferent.RECREATE) {
      LOG.log(Level.WARNING, "{0}: not a pair of this image; made anew", paths.bitmapFile());
      return false;
    }
    if (objection != null) {
      throw new CacheMismatchException(objection + " (or re-create it, or name another pair)");
    }
    throw new CacheMismatchException(
        "not a pair for a source of "
            + geometry.sizeBytes()
            + " bytes in blocks of "
            + geometry.blockSizeBytes()
            + ": bitmap file "
            + paths.bitmapFile()
            + " is "
            + bitmapBytes
            + " bytes, expected "
            + geometry.bitmapFileBytes()
            + "; cache file "
            + paths.cacheFile()
            + " is "
            + cacheBytes
            + " bytes, expected "
            + geometry.cacheFileBytes());
  }

  /**
   * Notices a cache file that was replaced under its bitmap, or a bitmap of another time.
   *
   * <p>With a checksum for every block each one is verified before its first use anyway, and a bad
   * one fetched again, so a copied pair is as good as the original. Without, bits that cannot be
   * trusted are not used.
   *
   * @return false if the pair cannot be used and is to be made anew
   * @throws CacheMismatchException if it cannot be used and is not
   */
  boolean belongTogether(Plan plan, Storage.File cache, int bitmapCrc, boolean every)
      throws IOException {
    Sidecar found = plan.found;
    if (found == null) {
      return true;
    }
    List<String> doubts = new ArrayList<>();
    String key = CacheFileKey.of(cache);
    if (!CacheFileKey.same(found.cacheFileKey(), key)) {
      compare(doubts, "cache file (device:inode:mark)", found.cacheFileKey(), key);
    }
    found
        .bitmapChecksum()
        .ifPresent(
            was ->
                compare(
                    doubts,
                    "checksum of the bitmap",
                    Integer.toHexString(was),
                    Integer.toHexString(bitmapCrc)));
    if (doubts.isEmpty()) {
      return true;
    }
    String what =
        paths.bitmapFile() + " and " + paths.cacheFile() + ": " + String.join("; ", doubts);
    if (every) {
      LOG.log(Level.WARNING, "{0}; each block is verified before its first use", what);
      return true;
    }
    if (whenDifferent == WhenDifferent.FAIL) {
      throw new CacheMismatchException(
          what + ", and not every block has a checksum to tell what is right (re-create the pair)");
    }
    LOG.log(Level.WARNING, "{0}; the pair is made anew", what);
    return false;
  }
}
