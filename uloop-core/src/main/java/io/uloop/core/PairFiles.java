/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheIoException;
import io.uloop.SourceIdentity;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Optional;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * The open files of a pair, and the bits that say what is in them.
 *
 * <p>Made by {@link PairOpener}, which has checked that the files belong together and to the
 * source. The bitmap in memory ({@link #present}) is ahead of the one on disk; the {@link
 * Committer} alone writes the latter, page by page, after the data is durable.
 *
 * <p><b>Threads:</b> safe for any; {@link #close} comes last.
 */
final class PairFiles implements AutoCloseable {

  private static final int SCAN_BYTES = 1 << 20;

  private final Storage storage;
  private final CachePair paths;
  private final Geometry geometry;
  private final PairLock cache;
  private final PairLock bitmap;
  private final Storage.@Nullable File checksums;
  private final PagedBits present;
  private final boolean pristine;
  private final Sidecar sidecar;

  /**
   * Takes over what was opened.
   *
   * @param pristine whether the cache file holds nothing but what is written from now on, so that a
   *     block of zeroes need not be written
   * @param sidecar as it is on disk now, with the bitmap marked open
   */
  PairFiles(
      Storage storage,
      CachePair paths,
      Geometry geometry,
      PairLock cache,
      PairLock bitmap,
      Storage.@Nullable File checksums,
      PagedBits present,
      boolean pristine,
      Sidecar sidecar) {
    this.storage = storage;
    this.paths = paths;
    this.geometry = geometry;
    this.cache = cache;
    this.bitmap = bitmap;
    this.checksums = checksums;
    this.present = present;
    this.pristine = pristine;
    this.sidecar = sidecar;
  }

  CachePair paths() {
    return paths;
  }

  Geometry geometry() {
    return geometry;
  }

  SourceIdentity identity() {
    return sidecar.identity();
  }

  Storage.File cacheFile() {
    return cache.file();
  }

  Storage.File bitmapFile() {
    return bitmap.file();
  }

  /** The checksum file; null if checksums are off. */
  Storage.@Nullable File checksumFile() {
    return checksums;
  }

  /** Whether every block present at open must have a checksum. */
  boolean everyBlockHasChecksum() {
    return sidecar.checksums();
  }

  PagedBits present() {
    return present;
  }

  boolean pristine() {
    return pristine;
  }

  /** Writes a page of the bitmap file; not durable until it is forced. */
  void writeBitmapPage(int index, long[] words, ByteBuffer scratch) throws IOException {
    scratch.clear().limit(PagedBits.PAGE_BYTES);
    scratch.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().put(words);
    long at = (long) index * PagedBits.PAGE_BYTES;
    try {
      bitmap.file().write(scratch, at);
    } catch (IOException e) {
      throw PairFailures.of(paths.bitmapFile(), "write of 4096 bytes at " + at, e);
    }
  }

  /** Reads a page of the bitmap file. */
  long[] readBitmapPage(int index, ByteBuffer scratch) throws IOException {
    scratch.clear().limit(PagedBits.PAGE_BYTES);
    read(bitmap.file(), scratch, (long) index * PagedBits.PAGE_BYTES);
    long[] words = new long[PagedBits.PAGE_BYTES / 8];
    scratch.flip().order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(words);
    return words;
  }

  /** Reads a part of a bitmap file; the failure says where. */
  static void read(Storage.File bitmap, ByteBuffer dst, long at) throws IOException {
    int length = dst.remaining();
    try {
      bitmap.read(dst, at);
    } catch (IOException e) {
      throw PairFailures.of(bitmap.path(), "read of " + length + " bytes at " + at, e);
    }
  }

  /**
   * Reads a whole bitmap file into bits and gives its CRC32C; bits past the last block are dropped.
   */
  static int load(Storage.File bitmap, PagedBits present) throws IOException {
    CRC32C crc = new CRC32C();
    long size = PairFailures.size(bitmap);
    ByteBuffer chunk =
        ByteBuffer.allocateDirect((int) Math.min(SCAN_BYTES, size)).order(ByteOrder.LITTLE_ENDIAN);
    long[] words = new long[PagedBits.PAGE_BYTES / 8];
    for (long at = 0; at < size; at += chunk.limit()) {
      chunk.clear().limit((int) Math.min(SCAN_BYTES, size - at));
      read(bitmap, chunk, at);
      crc.update(chunk.flip());
      chunk.rewind();
      for (int page = 0; page < chunk.limit() / PagedBits.PAGE_BYTES; page++) {
        int index = (int) (at / PagedBits.PAGE_BYTES) + page;
        if (index < present.pageCount()) {
          chunk.position(page * PagedBits.PAGE_BYTES);
          chunk.asLongBuffer().get(words);
          dropBitsPast(words, present.bits() - (long) index * PagedBits.PAGE_BITS);
          present.load(index, words);
        }
      }
    }
    return (int) crc.getValue();
  }

  private static void dropBitsPast(long[] words, long bits) {
    for (int i = (int) Math.min(words.length, bits / 64); i < words.length; i++) {
      long keep = bits - i * 64L;
      words[i] &= keep <= 0 ? 0 : keep >= 64 ? -1L : (1L << keep) - 1;
    }
  }

  /**
   * Says in the sidecar that the bitmap on disk is final; called after the last commit.
   *
   * @throws IOException if the sidecar cannot be written; the pair is then as after a crash, which
   *     costs nothing but the verification of each block. Also if cache or bitmap file was removed
   *     or replaced meanwhile: a sidecar alone would only be in the way of a new pair
   */
  void sealBitmap() throws IOException {
    requireAtItsPath(bitmap.file());
    requireAtItsPath(cache.file());
    int crc = load(bitmap.file(), new PagedBits(geometry.blocks()));
    Sidecar sealed =
        new Sidecar(
            sidecar.identity(),
            sidecar.blockSizeBytes(),
            sidecar.cacheFileKey(),
            sidecar.checksums(),
            Optional.of(crc),
            sidecar.writer());
    try {
      storage.replace(paths.sidecarFile(), sealed.toBytes());
    } catch (IOException e) {
      throw PairFailures.of(paths.sidecarFile(), "write", e);
    }
  }

  private void requireAtItsPath(Storage.File file) throws IOException {
    Path path = file.path();
    boolean there;
    try {
      there = storage.exists(path) && storage.key(path).equals(file.key());
    } catch (IOException e) {
      throw PairFailures.of(path, "look", e);
    }
    if (!there) {
      throw new CacheIoException(path + ": was removed or replaced while in use", false, null);
    }
  }

  @Override
  public void close() throws IOException {
    try {
      if (checksums != null) {
        close(paths.checksumFile(), checksums);
      }
    } finally {
      try {
        close(paths.cacheFile(), cache);
      } finally {
        close(paths.bitmapFile(), bitmap);
      }
    }
  }

  private static void close(Path path, Closeable file) throws IOException {
    try {
      file.close();
    } catch (IOException e) {
      throw PairFailures.of(path, "close", e);
    }
  }
}
