/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.WritableByteChannel;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The bytes of the cache file: read through a mapping, written with positional writes.
 *
 * <p>Reading through a mapping costs no system call and cannot be spoilt by an interrupt. Writing
 * through one could not tell a full volume from a fault, so writes are writes. Both meet in the
 * page cache (mmap(2): a shared mapping shows what write(2) wrote).
 *
 * <p>A file that was cut short, or a sector that cannot be read, makes the access fault; that is
 * noticed here ({@link #copyMapped}) and becomes an {@link IOException}.
 *
 * <p>After {@link #close} the mapping is there, but not of the file any more: readers that are in
 * the middle of a copy get zeroes and find afterwards that it was closed. So a close needs to wait
 * for nobody, and the volume is free at once.
 *
 * <p><b>Threads:</b> any.
 */
final class CacheData {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  /** Stands where a copy has not come to; any value that data seldom have. */
  private static final long UNCOPIED = 0x9E6C_63D0_876A_9A35L;

  /** The most that is copied before a look whether it arrived. */
  private static final int MOST_AT_ONCE = 64 * 1024;

  private static final int SEGMENT_SHIFT = 30;
  private static final long SEGMENT_BYTES = 1L << SEGMENT_SHIFT;

  private final Storage.File file;
  private final long size;
  private final AtomicReferenceArray<@Nullable ByteBuffer> segments;

  /**
   * Held for a write. The kernel lets only one at a time write to a file, and those that wait for
   * it there spin: on a machine that is busy they take the processors from who could go on.
   */
  private final ReentrantLock writing = new ReentrantLock();

  private volatile boolean mappable = true;
  private volatile boolean closed;

  /** Over a cache file of the given size. */
  CacheData(Storage.File file, long size) {
    this.file = file;
    this.size = size;
    this.segments =
        new AtomicReferenceArray<>(Math.toIntExact((size + SEGMENT_BYTES - 1) >> SEGMENT_SHIFT));
  }

  Storage.File file() {
    return file;
  }

  /**
   * Copies bytes out, into {@code dst} from an absolute index on; its position is not moved.
   *
   * @throws java.nio.channels.ClosedChannelException if this was closed before or meanwhile
   * @throws IOException if the file cannot be read there; part may have been copied
   */
  void copy(long offset, ByteBuffer dst, int index, int length) throws IOException {
    int done = 0;
    while (done < length) {
      long at = offset + done;
      int within = (int) (at & (SEGMENT_BYTES - 1));
      int n = (int) Math.min(Math.min(length - done, MOST_AT_ONCE), SEGMENT_BYTES - within);
      ByteBuffer segment = segment((int) (at >> SEGMENT_SHIFT));
      if (segment == null) {
        read(dst.duplicate().limit(index + done + n).position(index + done), at);
      } else {
        copyMapped(segment, within, at, dst, index + done, n);
      }
      done += n;
    }
    VarHandle.acquireFence(); // the copy comes before the look
    if (closed) {
      throw new ClosedChannelException();
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
   * Copies out of the mapping and notices if that faulted.
   *
   * <p>After a fault compiled code goes on with whatever bytes it got, and the JVM throws its error
   * only where the thread next enters it (measured on JDK 17 and 25). But a copy goes forward and
   * ends at a fault: so a mark is put where its last bytes will be, and if the mark is still there
   * afterwards the copy did not arrive, or the bytes happen to be the mark. Either way the range is
   * read once more with read(2), which says what is wrong. One gap is left: on JDK 17, while this
   * is still interpreted, a copy that is not aligned to 8 bytes is the C library's, which goes on.
   */
  private void copyMapped(ByteBuffer segment, int within, long at, ByteBuffer dst, int index, int n)
      throws IOException {
    int last = index + n - Long.BYTES;
    if (last < index) {
      read(dst.duplicate().limit(index + n).position(index), at);
      return;
    }
    try {
      dst.putLong(last, UNCOPIED);
      dst.put(index, segment, within, n);
      if (dst.getLong(last) != UNCOPIED) {
        return;
      }
    } catch (InternalError e) {
      LOG.log(Level.DEBUG, "fault in the mapping of " + file.path(), e);
    }
    try {
      deliverFault();
    } catch (InternalError e) { // compiled code may get it at the call itself
      LOG.log(Level.DEBUG, "fault in the mapping of " + file.path(), e);
      deliverFault();
    }
    read(dst.duplicate().limit(index + n).position(index), at);
  }

  /** Has the JVM throw the error of a fault now, so that it does not come out of somewhere else. */
  private void deliverFault() {
    for (int i = 0; i < 2; i++) {
      try {
        // The JVM is entered, and throws something itself.
        Class.forName("io.uloop.core.NoSuchClass", false, CacheData.class.getClassLoader());
      } catch (ClassNotFoundException | InternalError e) {
        LOG.log(Level.DEBUG, "after a fault in the mapping of " + file.path(), e);
      }
    }
  }

  /**
   * Whether a range is known to hold nothing but zeroes; not if it cannot be read.
   *
   * <p>Read with read(2): a look at a hole through the mapping makes a file in memory allocate a
   * page, and fault where there is none left.
   *
   * @param scratch a buffer of the range's length
   */
  boolean isZero(long offset, ByteBuffer scratch) {
    int length = scratch.capacity();
    try {
      read(scratch.clear(), offset);
    } catch (IOException e) {
      LOG.log(Level.DEBUG, "taken not to be zero", e);
      return false;
    }
    return new Zeroes().only(scratch, 0, length);
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
    if (closed) {
      release(fresh);
      throw new ClosedChannelException();
    }
    return other == null ? fresh : other;
  }

  /** Ends all reading; the file itself is the caller's to close. */
  void close() {
    closed = true;
    for (int i = 0; i < segments.length(); i++) {
      ByteBuffer segment = segments.get(i);
      if (segment != null) {
        release(segment);
      }
    }
  }

  /** Takes the file out of a mapping; where that cannot be, the garbage collector ends it. */
  private static void release(ByteBuffer segment) {
    if (segment.isDirect() && !jvmIsEnding() && LibC.loadsQuietly()) {
      LibC.unmapFile(segment);
    }
  }

  /**
   * Whether the operating system is about to end all mappings; loading JNA would be for nothing.
   */
  private static boolean jvmIsEnding() {
    try {
      Runtime.getRuntime().removeShutdownHook(new Thread());
      return false;
    } catch (IllegalStateException e) {
      return true;
    }
  }

  /** Writes bytes; the position of {@code src} moves to its limit. */
  void write(ByteBuffer src, long offset) throws IOException {
    int length = src.remaining();
    writing.lock();
    try {
      file.write(src, offset);
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "write of " + length + " bytes at " + offset, e);
    } finally {
      writing.unlock();
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
