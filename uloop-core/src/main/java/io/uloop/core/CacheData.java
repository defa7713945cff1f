/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of the cache file: read through a mapping, written with positional writes.
 *
 * <p>Reading through a mapping costs no system call and cannot be spoilt by an interrupt. Writing
 * through one could not tell a full volume from a fault, so writes are writes. Both meet in the
 * page cache (mmap(2): a shared mapping shows what write(2) wrote).
 *
 * <p>A file that was cut short, or a sector that cannot be read, makes the access fault; the JVM
 * reports that as an {@link InternalError}, which becomes an {@link IOException} here.
 *
 * <p><b>Threads:</b> any.
 */
final class CacheData {

  private static final int SEGMENT_SHIFT = 30;
  private static final long SEGMENT_BYTES = 1L << SEGMENT_SHIFT;

  private final Storage.File file;
  private final long size;
  private final AtomicReferenceArray<@Nullable ByteBuffer> segments;
  private volatile boolean mappable = true;

  /** Over a cache file of the given size. */
  CacheData(Storage.File file, long size) {
    this.file = file;
    this.size = size;
    this.segments =
        new AtomicReferenceArray<>(Math.toIntExact((size + SEGMENT_BYTES - 1) >> SEGMENT_SHIFT));
  }

  /**
   * Copies bytes out, into {@code dst} from an absolute index on; its position is not moved.
   *
   * @throws IOException if the file cannot be read there; part may have been copied
   */
  void copy(long offset, ByteBuffer dst, int index, int length) throws IOException {
    int done = 0;
    while (done < length) {
      long at = offset + done;
      int within = (int) (at & (SEGMENT_BYTES - 1));
      int n = (int) Math.min(length - done, SEGMENT_BYTES - within);
      ByteBuffer segment = segment((int) (at >> SEGMENT_SHIFT));
      if (segment == null) {
        read(dst.duplicate().limit(index + done + n).position(index + done), at);
      } else {
        try {
          dst.put(index + done, segment, within, n);
          deliverFault();
        } catch (InternalError e) {
          throw unreadable(at, n, e);
        }
      }
      done += n;
    }
  }

  private void read(ByteBuffer dst, long offset) throws IOException {
    int length = dst.remaining();
    try {
      file.read(dst, offset);
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "read of " + length + " bytes at " + offset, e);
    }
  }

  /**
   * Makes the error of an access that faulted just now be thrown here, not wherever this thread
   * next enters the JVM: compiled code goes on with whatever bytes it got. The JVM throws it at the
   * return from a native method (JDK 21 and later do), and this is a cheap one.
   */
  private void deliverFault() {
    boolean unused = Thread.holdsLock(segments);
  }

  private IOException unreadable(long at, int n, InternalError fault) {
    return new IOException(
        file.path() + ": read of " + n + " bytes at " + at + " failed (fault in the mapping)",
        fault);
  }

  /** Whether a range holds nothing but zeroes. */
  boolean isZero(long offset, int length) throws IOException {
    ByteBuffer segment = segment((int) (offset >> SEGMENT_SHIFT));
    int within = (int) (offset & (SEGMENT_BYTES - 1));
    if (segment == null || within + (long) length > SEGMENT_BYTES) {
      ByteBuffer copy = ByteBuffer.allocate(length);
      copy(offset, copy, 0, length);
      return Zeroes.only(copy, 0, length);
    }
    try {
      boolean zero = Zeroes.only(segment, within, length);
      deliverFault();
      return zero;
    } catch (InternalError e) {
      throw unreadable(offset, length, e);
    }
  }

  /** The segment's mapping, made when first used; null if this file cannot be mapped. */
  private @Nullable ByteBuffer segment(int index) throws IOException {
    ByteBuffer segment = segments.get(index);
    return segment != null || !mappable ? segment : map(index);
  }

  private @Nullable ByteBuffer map(int index) throws IOException {
    long start = (long) index << SEGMENT_SHIFT;
    long length = Math.min(SEGMENT_BYTES, size - start);
    ByteBuffer fresh;
    try {
      fresh = file.map(start, length);
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "map of " + length + " bytes at " + start, e);
    }
    if (fresh == null) {
      mappable = false;
      return null;
    }
    ByteBuffer other = segments.compareAndExchange(index, null, fresh);
    return other == null ? fresh : other;
  }

  /** Writes bytes; the position of {@code src} moves to its limit. */
  void write(ByteBuffer src, long offset) throws IOException {
    int length = src.remaining();
    try {
      file.write(src, offset);
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "write of " + length + " bytes at " + offset, e);
    }
  }

  long transferTo(long offset, long length, WritableByteChannel target) throws IOException {
    return file.transferTo(offset, length, target);
  }

  void punch(long offset, long length) throws IOException {
    try {
      file.punch(offset, length);
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "punch of " + length + " bytes at " + offset, e);
    }
  }

  void force() throws IOException {
    try {
      file.force();
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "force", e);
    }
  }

  long allocatedBytes() throws IOException {
    try {
      return file.allocatedBytes();
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "look at the allocated bytes", e);
    }
  }
}
