/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheFormatException;
import io.uloop.CacheMismatchException;
import io.uloop.SourceIdentity;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Opens a pair, makes it, adopts it or refuses it.
 *
 * <pre>
 *   sidecar  cache file   bitmap file        what happens
 *   -------  -----------  -----------------  ------------------------------------------------------
 *   none     none         none               made
 *   none     right size   right size         a legacy pair: adopted, said in the log
 *   none     none         no bit set         made (a crash while it was being made)
 *   none     anything else                   refused: somebody else's file, or half a pair
 *   fits     right size   right size         opened
 *   fits     other size, or missing          refused (bits without data are never believed)
 *   other    any          any                refused and the difference said, or made anew on request
 * </pre>
 *
 * <p>What is made is made in this order, each step durable before the next, so that a crash between
 * two steps leaves a pair that is refused or empty, never one with bits that lie: bitmap zeroed,
 * cache file emptied, checksums emptied, sidecar replaced.
 */
final class PairOpener {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  static final int DEFAULT_BLOCK_BYTES = 4096;

  private final Storage storage;
  private final CachePair paths;
  private final boolean useChecksums;
  private final WhenDifferent whenDifferent;

  PairOpener(Storage storage, CachePair paths, boolean useChecksums, WhenDifferent whenDifferent) {
    this.storage = storage;
    this.paths = paths;
    this.useChecksums = useChecksums;
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
    return Sidecar.parse(file, bytes);
  }

  /**
   * Opens the pair for a source.
   *
   * @param identity the source, or null if it cannot be asked: then what the sidecar says
   * @param blockSizeBytes the unit wanted, or 0: what the pair has, else 4096
   */
  PairFiles open(@Nullable SourceIdentity identity, int blockSizeBytes) throws IOException {
    makeDirectory(paths.bitmapFile());
    makeDirectory(paths.cacheFile());
    PairLock bitmap = null;
    PairLock cache = null;
    Storage.File checksums = null;
    List<Path> made = new ArrayList<>();
    boolean opened = false;
    try {
      bitmap = lock(paths.bitmapFile());
      refuseOneFile(bitmap.file());
      cache = lock(paths.cacheFile());
      // Names first: content that is durable under a name that is not would be half a pair.
      forceDirectory(paths.bitmapFile());
      forceDirectory(paths.cacheFile());
      Plan plan = plan(identity, blockSizeBytes, bitmap.file(), cache.file());
      Geometry geometry = plan.geometry;
      if (useChecksums) {
        noteIfMissing(made, paths.checksumFile());
        checksums = openChecksums();
      }
      long checksumBytes = geometry.blocks() * Integer.BYTES;
      boolean every =
          plan.everyBlockHasChecksum && checksums != null && size(checksums) == checksumBytes;
      PagedBits present = new PagedBits(geometry.blocks());
      if (!plan.make) {
        int crc = PairFiles.load(bitmap.file(), present);
        if (!belongTogether(plan, cache.file(), crc, every)) {
          plan = plan.anew();
          present = new PagedBits(geometry.blocks());
        }
      }
      if (plan.make) {
        empty(paths.bitmapFile(), bitmap.file(), geometry.bitmapFileBytes());
        empty(paths.cacheFile(), cache.file(), geometry.cacheFileBytes());
      } else if (size(cache.file()) < geometry.cacheFileBytes()) {
        resize(paths.cacheFile(), cache.file(), geometry.cacheFileBytes());
      }
      if (checksums == null) {
        if (plan.make) {
          deleteChecksums(); // they are of what the pair held before
        }
      } else if (plan.make) {
        every = true;
        empty(paths.checksumFile(), checksums, checksumBytes);
      } else if (size(checksums) != checksumBytes) {
        LOG.log(
            size(checksums) == 0 ? Level.DEBUG : Level.WARNING,
            "{0}: is {1} bytes, expected {2}; begun anew",
            paths.checksumFile(),
            Long.toString(size(checksums)),
            Long.toString(checksumBytes));
        empty(paths.checksumFile(), checksums, checksumBytes);
      }
      Sidecar sidecar =
          new Sidecar(
              plan.identity,
              geometry.blockSizeBytes(),
              markedKey(cache.file()),
              every,
              Optional.empty(),
              "uloop " + Version.text());
      forceDirectory(paths.bitmapFile());
      forceDirectory(paths.cacheFile());
      // One that says the same already (after a crash) needs no room on a full volume.
      if (!sidecar.equals(plan.found)) {
        noteIfMissing(made, paths.sidecarFile());
        writeSidecar(sidecar);
      }
      PairFiles files =
          new PairFiles(
              storage, paths, geometry, cache, bitmap, checksums, present, plan.make, sidecar);
      opened = true;
      return files;
    } finally {
      if (!opened) {
        noteIfMade(made, cache);
        noteIfMade(made, bitmap);
        removeMade(made);
        closeAll(checksums, cache, bitmap);
      }
    }
  }

  private void noteIfMissing(List<Path> made, Path file) {
    if (!storage.exists(file)) {
      made.add(0, file);
    }
  }

  private static void noteIfMade(List<Path> made, @Nullable PairLock lock) {
    if (lock != null && lock.made()) {
      made.add(lock.file().path());
    }
  }

  /**
   * Removes the files that a failed open made, while the pair is still locked: sidecar, checksums,
   * cache file, bitmap, so that what is left if this is cut short can be opened.
   */
  private void removeMade(List<Path> files) {
    for (Path file : files) {
      try {
        storage.delete(file);
      } catch (IOException e) {
        LOG.log(Level.DEBUG, () -> file + ": stays, after a failed open", e);
        return;
      }
    }
  }

  /** What tells this cache file from any other, also from one that got its inode after it. */
  private static String cacheKey(Storage.File cache) throws IOException {
    String mark = cache.mark();
    return mark == null ? cache.key() : cache.key() + ":" + mark;
  }

  /**
   * Whether two keys are of one file. Of files with a mark the device does not count: its number
   * may be another after the next start of the machine.
   */
  private static boolean sameFile(String was, String is) {
    boolean marked = was.split(":").length == 3 && is.split(":").length == 3;
    return marked
        ? was.substring(was.indexOf(':')).equals(is.substring(is.indexOf(':')))
        : was.equals(is);
  }

  /** {@link #cacheKey} of a file that is given a mark if it has none and can have one. */
  private static String markedKey(Storage.File cache) throws IOException {
    if (cache.mark() == null) {
      byte[] random = new byte[8];
      new SecureRandom().nextBytes(random);
      try {
        cache.setMark(HexFormat.of().formatHex(random));
      } catch (IOException e) {
        throw PairFailures.of(cache.path(), "mark", e);
      }
    }
    return cacheKey(cache);
  }

  private static void closeAll(@Nullable AutoCloseable... opened) {
    for (AutoCloseable each : opened) {
      if (each != null) {
        try {
          each.close();
        } catch (Exception e) {
          LOG.log(Level.DEBUG, "close after a failed open", e);
        }
      }
    }
  }

  /** What to do with the files found. */
  private record Plan(
      SourceIdentity identity,
      Geometry geometry,
      boolean make,
      boolean everyBlockHasChecksum,
      @Nullable Sidecar found) {

    Plan anew() {
      return new Plan(identity, geometry, true, false, found);
    }
  }

  private Plan plan(
      @Nullable SourceIdentity identity,
      int blockSizeBytes,
      Storage.File bitmap,
      Storage.File cache)
      throws IOException {
    int wanted = blockSizeBytes == 0 ? DEFAULT_BLOCK_BYTES : blockSizeBytes;
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
    if (size(bitmap) != geometry.bitmapFileBytes()) {
      differences.add(
          "bitmap file "
              + paths.bitmapFile()
              + " is "
              + size(bitmap)
              + " bytes, expected "
              + geometry.bitmapFileBytes());
    }
    if (size(cache) != geometry.cacheFileBytes()) {
      differences.add(
          "cache file "
              + paths.cacheFile()
              + " is "
              + size(cache)
              + " bytes, expected "
              + geometry.cacheFileBytes());
    }
    return differences;
  }

  /** Whether files without a sidecar are a legacy pair of this image; false if there are none. */
  private boolean adopt(Geometry geometry, Storage.File bitmap, Storage.File cache)
      throws IOException {
    long bitmapBytes = size(bitmap);
    long cacheBytes = size(cache);
    if (bitmapBytes == 0 && cacheBytes == 0) {
      return false;
    }
    // The original did not always round the cache file up to a whole block.
    boolean cacheFits =
        cacheBytes >= geometry.sizeBytes() && cacheBytes <= geometry.cacheFileBytes();
    boolean bitmapFits = bitmapBytes == geometry.bitmapFileBytes();
    if (cacheFits && bitmapFits) {
      LOG.log(
          Level.INFO,
          "{0}: no sidecar; adopted as a legacy pair of {1} bytes",
          paths.bitmapFile(),
          Long.toString(geometry.sizeBytes()));
      return true;
    }
    if (bitmapFits && cacheBytes == 0) {
      PagedBits bits = new PagedBits(geometry.blocks());
      PairFiles.load(bitmap, bits);
      if (bits.count() == 0) {
        return false;
      }
    }
    if (whenDifferent == WhenDifferent.RECREATE) {
      LOG.log(Level.WARNING, "{0}: not a pair of this image; made anew", paths.bitmapFile());
      return false;
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
  private boolean belongTogether(Plan plan, Storage.File cache, int bitmapCrc, boolean every)
      throws IOException {
    Sidecar found = plan.found;
    if (found == null) {
      return true;
    }
    List<String> doubts = new ArrayList<>();
    String key = cacheKey(cache);
    if (!sameFile(found.cacheFileKey(), key)) {
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

  /** Two names may be of one file, by a link. */
  private void refuseOneFile(Storage.File bitmap) throws IOException {
    if (storage.exists(paths.cacheFile()) && storage.key(paths.cacheFile()).equals(bitmap.key())) {
      throw new CacheMismatchException(
          "cache file "
              + paths.cacheFile()
              + " and bitmap file "
              + paths.bitmapFile()
              + " are one file");
    }
  }

  private Storage.File openChecksums() throws IOException {
    try {
      return storage.open(paths.checksumFile(), Storage.Mode.CREATE);
    } catch (IOException e) {
      throw PairFailures.of(paths.checksumFile(), "open", e);
    }
  }

  private void writeSidecar(Sidecar sidecar) throws IOException {
    try {
      storage.replace(paths.sidecarFile(), sidecar.toBytes());
    } catch (IOException e) {
      throw PairFailures.of(paths.sidecarFile(), "write", e);
    }
  }

  private void deleteChecksums() throws IOException {
    try {
      storage.delete(paths.checksumFile());
    } catch (IOException e) {
      throw PairFailures.of(paths.checksumFile(), "delete", e);
    }
    forceDirectory(paths.checksumFile());
  }

  private void forceDirectory(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    try {
      storage.forceDirectory(directory);
    } catch (IOException e) {
      throw PairFailures.of(directory == null ? file : directory, "force of the directory", e);
    }
  }

  /** A file's size; the failure names the file. */
  static long size(Storage.File file) throws IOException {
    try {
      return file.size();
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "look at the size", e);
    }
  }

  private PairLock lock(Path file) throws IOException {
    try {
      return PairLock.open(storage, file, Storage.Mode.CREATE);
    } catch (IOException e) {
      throw PairFailures.of(file, "open", e);
    }
  }

  /** Makes a file all zeroes, durably. */
  private static void empty(Path path, Storage.File file, long bytes) throws IOException {
    resize(path, file, 0);
    resize(path, file, bytes);
  }

  private static void resize(Path path, Storage.File file, long bytes) throws IOException {
    try {
      file.setSize(bytes);
      file.force();
    } catch (IOException e) {
      throw PairFailures.of(path, "resize to " + bytes + " bytes", e);
    }
  }

  private static void makeDirectory(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    if (directory != null && !Files.isDirectory(directory)) {
      try {
        Files.createDirectories(directory);
      } catch (IOException e) {
        throw PairFailures.of(directory, "make the directory", e);
      }
    }
  }
}
