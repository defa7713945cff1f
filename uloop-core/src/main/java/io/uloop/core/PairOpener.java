/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheFormatException;
import io.uloop.SourceIdentity;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
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
 *   none     right size   right size         a legacy pair: adopted, said in the log; refused if
 *                                            the unit is not 4096 or the content says otherwise
 *   none     none         no bit set         made (a crash while it was being made)
 *   none     anything else                   refused: somebody else's file, or half a pair; or made
 *                                            anew on request
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

  private final Storage storage;
  private final CachePair paths;
  private final boolean useChecksums;
  private final PairInspection inspection;

  PairOpener(Storage storage, CachePair paths, boolean useChecksums, WhenDifferent whenDifferent) {
    this.storage = storage;
    this.paths = paths;
    this.useChecksums = useChecksums;
    this.inspection = new PairInspection(storage, paths, whenDifferent);
  }

  /**
   * Reads what the pair says of itself, if it says anything, without locking it.
   *
   * @throws CacheFormatException if the sidecar is damaged or too new
   */
  @Nullable Sidecar sidecar() throws IOException {
    return inspection.sidecar();
  }

  /**
   * Opens the pair for a source.
   *
   * <p>Refused, whatever is to be done with a pair that is different: two files of the pair that
   * are one, and one that is the source itself.
   *
   * @param identity the source, or null if it cannot be asked: then what the sidecar says
   * @param blockSizeBytes the unit wanted, or 0: what the pair has, else 4096
   */
  PairFiles open(@Nullable SourceIdentity identity, int blockSizeBytes) throws IOException {
    PairNames.requireDistinct(storage, paths);
    if (identity != null) {
      PairNames.requireNotTheSource(storage, paths, identity);
    }
    makeDirectory(paths.bitmapFile());
    makeDirectory(paths.cacheFile());
    PairLock bitmap = null;
    PairLock cache = null;
    Storage.File checksums = null;
    List<Path> made = new ArrayList<>();
    boolean opened = false;
    try {
      bitmap = lock(paths.bitmapFile());
      PairNames.requireDistinct(storage, paths); // a link may have led to what was made just now
      cache = lock(paths.cacheFile());
      PairNames.requireDistinct(storage, paths);
      // Names first: content that is durable under a name that is not would be half a pair.
      forceName(bitmap);
      forceName(cache);
      PairInspection.Plan plan =
          inspection.plan(identity, blockSizeBytes, bitmap.file(), cache.file());
      Geometry geometry = plan.geometry();
      if (useChecksums) {
        noteIfMissing(made, paths.checksumFile());
        checksums = openChecksums();
      }
      long checksumBytes = geometry.blocks() * Integer.BYTES;
      boolean every =
          plan.everyBlockHasChecksum()
              && checksums != null
              && PairFailures.size(checksums) == checksumBytes;
      PagedBits present = new PagedBits(geometry.blocks());
      if (!plan.make()) {
        int crc = PairFiles.load(bitmap.file(), present);
        if (!inspection.belongTogether(plan, cache.file(), crc, every)) {
          plan = plan.anew();
          present = new PagedBits(geometry.blocks());
        }
      }
      if (plan.make()) {
        empty(paths.bitmapFile(), bitmap.file(), geometry.bitmapFileBytes());
        empty(paths.cacheFile(), cache.file(), geometry.cacheFileBytes());
      } else if (PairFailures.size(cache.file()) < geometry.cacheFileBytes()) {
        resize(paths.cacheFile(), cache.file(), geometry.cacheFileBytes());
      }
      if (checksums == null) {
        if (plan.make()) {
          deleteChecksums(); // they are of what the pair held before
        }
      } else if (plan.make()) {
        every = true;
        empty(paths.checksumFile(), checksums, checksumBytes);
      } else if (PairFailures.size(checksums) != checksumBytes) {
        LOG.log(
            PairFailures.size(checksums) == 0 ? Level.DEBUG : Level.WARNING,
            "{0}: is {1} bytes, expected {2}; begun anew",
            paths.checksumFile(),
            Long.toString(PairFailures.size(checksums)),
            Long.toString(checksumBytes));
        empty(paths.checksumFile(), checksums, checksumBytes);
      }
      Sidecar sidecar =
          new Sidecar(
              plan.identity(),
              geometry.blockSizeBytes(),
              CacheFileKey.marking(cache.file()),
              every,
              Optional.empty(),
              "uloop " + Version.text());
      forceDirectory(paths.bitmapFile());
      forceDirectory(paths.cacheFile());
      // One that says the same already (after a crash) needs no room on a full volume.
      if (!sidecar.equals(plan.found())) {
        noteIfMissing(made, paths.sidecarFile());
        writeSidecar(sidecar);
      }
      PairFiles files =
          new PairFiles(
              storage, paths, geometry, cache, bitmap, checksums, present, plan.make(), sidecar);
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
   * Removes the files that a failed open made, not the links that led to them, while the pair is
   * still locked: sidecar, checksums, cache file, bitmap, so that what is left if this is cut short
   * can be opened.
   */
  private void removeMade(List<Path> files) {
    for (Path file : files) {
      try {
        storage.delete(storage.target(file));
      } catch (IOException e) {
        LOG.log(Level.DEBUG, () -> file + ": stays, after a failed open", e);
        return;
      }
    }
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

  /** Makes a file's name durable, and if that is a link, the name of what it leads to. */
  private void forceName(PairLock lock) throws IOException {
    Path file = lock.file().path();
    Path target = target(file);
    Path directory = target.toAbsolutePath().getParent();
    if (!target.equals(file)) {
      try {
        storage.forceDirectory(directory);
      } catch (IOException e) {
        // Whoever made it has forced it, as far as may be; a directory need not be readable.
        if (lock.made() || !(e instanceof AccessDeniedException)) {
          throw PairFailures.of(
              directory == null ? target : directory, "force of the directory", e);
        }
      }
    }
    forceDirectory(file);
  }

  private Path target(Path file) throws IOException {
    try {
      return storage.target(file);
    } catch (IOException e) {
      throw PairFailures.of(file, "open", e);
    }
  }

  private void forceDirectory(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    try {
      storage.forceDirectory(directory);
    } catch (IOException e) {
      throw PairFailures.of(directory == null ? file : directory, "force of the directory", e);
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
