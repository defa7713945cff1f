/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import java.io.EOFException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * One open file of the machine's file system.
 *
 * <p>Two traps shape this class. The JDK closes a {@link FileChannel} for everybody when a thread
 * is interrupted inside it, or comes there interrupted; a reader's own thread comes here in {@link
 * #transferTo}, in {@link #map} and, for checksums and where a file cannot be mapped, in {@link
 * #read}. So a channel that an interrupt closed is opened again, and the step repeated. And POSIX
 * record locks (fcntl(2), F_SETLK) are dropped when the process closes <em>any</em> descriptor of
 * the file; so no second descriptor is closed before the end, but by an interrupt, and then the
 * lock is taken again. The JDK opens and closes one for each look at the extended attributes: so
 * the mark is read before the lock is taken, and the lock is taken again after the mark was
 * written.
 */
final class LocalFile implements Storage.File {

  /**
   * The most that is written at once. The kernel takes page-cache memory in units of a write's size
   * (ext4 since Linux 6.16, XFS), and small units from what was freed last on this processor: by
   * measurement, a cold copy takes two thirds of the kernel time of one in steps of 256 KiB, as
   * larger units are often memory that a virtual machine has to get from its host first. Besides,
   * the JDK copies a heap buffer to a direct one first, which at this size stays in the innermost
   * cache.
   */
  private static final int MOST_WRITE_BYTES = 16 * 1024;

  private final Path path;
  private final String key;
  private final ReentrantLock reopening = new ReentrantLock();

  /** Held while something is mapped; taken before {@link #reopening}. */
  private final ReentrantLock mapping = new ReentrantLock();

  /**
   * A descriptor that nothing but {@link #map} uses, opened with the first mapping. In the JDK, who
   * is interrupted as it asks a channel for its size, as each transfer does, closes it under a lock
   * that who maps waits for, and waits for who maps to leave the channel: both for ever.
   */
  @GuardedBy("mapping")
  private @Nullable RandomAccessFile mapped;

  private volatile RandomAccessFile file;

  @GuardedBy("reopening")
  private boolean closed;

  /** Not null from {@link #tryLock} on. */
  @GuardedBy("reopening")
  private @Nullable FileLock lock;

  @GuardedBy("reopening")
  private @Nullable String mark;

  @GuardedBy("reopening")
  private @Nullable LibC libc;

  /** Opens the file for reading and writing, making it if it is missing. */
  LocalFile(Path path) throws IOException {
    this.path = path;
    this.file = new RandomAccessFile(path.toFile(), "rw");
    this.key = key(path);
  }

  /** Device and inode of a file. */
  static String key(Path path) throws IOException {
    return Files.getAttribute(path, "unix:dev") + ":" + Files.getAttribute(path, "unix:ino");
  }

  @Override
  public Path path() {
    return path;
  }

  @Override
  public String key() {
    return key;
  }

  @Override
  public @Nullable String mark() {
    reopening.lock();
    try {
      return lock == null ? FileMark.read(path) : mark;
    } finally {
      reopening.unlock();
    }
  }

  @Override
  public void setMark(String wanted) throws IOException {
    reopening.lock();
    try {
      FileChannel current = channel();
      FileLock held = lock;
      if (held != null) {
        held.release();
      }
      boolean written = FileMark.write(path, wanted);
      if (held != null) {
        lock = relocked(current);
      }
      if (!written) {
        return;
      }
      mark = wanted;
    } finally {
      reopening.unlock();
    }
    steadily(
        channel -> {
          channel.force(true); // attributes, too
          return true;
        });
  }

  private FileLock relocked(FileChannel channel) throws IOException {
    FileLock again = channel.tryLock();
    if (again == null) {
      throw new IOException(path + ": lost its lock to another process");
    }
    return again;
  }

  /** Gives a channel that is open. */
  private interface Opener {
    FileChannel open() throws IOException;
  }

  /** One step on the channel. */
  private interface Step<T> {
    T run(FileChannel channel) throws IOException;
  }

  private <T> T steadily(Step<T> step) throws IOException {
    return steadily(this::channel, step);
  }

  /**
   * Runs a step to its end, interrupted or not: neither the interrupt of this thread nor one that
   * closes the channel under it makes it fail. The interrupt is kept for whoever waits next.
   */
  private static <T> T steadily(Opener opener, Step<T> step) throws IOException {
    boolean interrupted = false;
    try {
      while (true) {
        FileChannel current = opener.open();
        try {
          return step.run(current);
        } catch (ClosedByInterruptException e) {
          interrupted |= Thread.interrupted();
        } catch (ClosedChannelException e) {
          if (current.isOpen()) {
            throw e;
          }
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public long size() throws IOException {
    return steadily(FileChannel::size);
  }

  @Override
  public void setSize(long size) throws IOException {
    channel();
    file.setLength(size);
  }

  @Override
  public void read(ByteBuffer dst, long position) throws IOException {
    // From the buffer's position, as a step that is interrupted may have moved it before it fails.
    long origin = position - dst.position();
    while (dst.hasRemaining()) {
      if (steadily(channel -> channel.read(dst, origin + dst.position())) < 0) {
        throw new EOFException(
            "ends at " + (origin + dst.position()) + ", " + dst.remaining() + " bytes early");
      }
    }
  }

  @Override
  public void write(ByteBuffer src, long position) throws IOException {
    long origin = position - src.position();
    int end = src.limit();
    try {
      // All in one step, as making one takes as long as a small write; it goes on from the position
      // if it is interrupted.
      steadily(
          channel -> {
            while (src.position() < end) {
              src.limit(Math.min(end, src.position() + MOST_WRITE_BYTES));
              channel.write(src, origin + src.position());
            }
            return true;
          });
    } finally {
      src.limit(end);
    }
  }

  @Override
  public void force() throws IOException {
    steadily(
        channel -> {
          channel.force(false);
          return true;
        });
  }

  @Override
  public void punch(long position, long length) throws IOException {
    libc().punch(position, length);
  }

  @Override
  public long allocatedBytes() throws IOException {
    return libc().allocatedBytes();
  }

  /** The native descriptor, opened when first needed and kept (see the class comment). */
  private LibC libc() throws IOException {
    reopening.lock();
    try {
      if (closed) {
        throw new ClosedChannelException();
      }
      if (libc == null) {
        requireAtItsPath();
        libc = LibC.open(path);
      }
      return libc;
    } finally {
      reopening.unlock();
    }
  }

  @Override
  public ByteBuffer map(long position, long length) throws IOException {
    mapping.lock();
    try {
      return steadily(
          this::mappable,
          channel -> {
            // The JDK would make a file that is too short longer, and its hole would be read as
            // zeroes.
            long size = channel.size();
            if (size < position + length) {
              throw new EOFException("is " + size + " bytes, expected " + (position + length));
            }
            return channel.map(FileChannel.MapMode.READ_ONLY, position, length);
          });
    } finally {
      mapping.unlock();
    }
  }

  /** The channel to map from; the one for all else if the file is at its path no more. */
  private FileChannel mappable() throws IOException {
    mapping.lock(); // which who maps has already
    reopening.lock();
    try {
      RandomAccessFile own = mapped;
      if (own != null && own.getChannel().isOpen()) {
        return own.getChannel();
      }
      mapped = null;
      FileChannel other = own == null ? channel() : lockAgain();
      if (!isAtItsPath()) {
        return other;
      }
      RandomAccessFile opened = new RandomAccessFile(path.toFile(), "r");
      if (!isAtItsPath()) { // nor, perhaps, when it was opened
        opened.close();
        return lockAgain();
      }
      mapped = opened;
      return opened.getChannel();
    } finally {
      reopening.unlock();
      mapping.unlock();
    }
  }

  /** Takes the lock again, which went with a descriptor without the JDK's knowing. */
  @GuardedBy("reopening")
  private FileChannel lockAgain() throws IOException {
    while (true) {
      FileChannel current = channel();
      FileLock held = lock;
      if (held == null) {
        return current;
      }
      try {
        held.release();
        lock = relocked(current);
        return current;
      } catch (ClosedChannelException e) {
        if (current.isOpen()) {
          throw e;
        }
      }
    }
  }

  private boolean isAtItsPath() throws IOException {
    return Files.exists(path) && key(path).equals(key);
  }

  private void requireAtItsPath() throws IOException {
    if (!isAtItsPath()) {
      throw new NoSuchFileException(path + ": removed or replaced while in use");
    }
  }

  @Override
  public long transferTo(long position, long length, WritableByteChannel target)
      throws IOException {
    // An interrupt that came before is kept for later; one that comes meanwhile ends this call, as
    // bytes may have been sent already. The channel is opened again for the next.
    boolean interrupted = Thread.interrupted();
    try {
      while (true) {
        FileChannel current = channel();
        try {
          return current.transferTo(position, length, target);
        } catch (ClosedByInterruptException e) {
          throw e;
        } catch (ClosedChannelException e) {
          if (current.isOpen() || !target.isOpen()) {
            throw e;
          }
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public boolean tryLock() throws IOException {
    reopening.lock();
    try {
      mark = FileMark.read(path);
      lock = file.getChannel().tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    } finally {
      reopening.unlock();
    }
  }

  /** The open channel; opened again if an interrupt closed it. */
  private FileChannel channel() throws IOException {
    FileChannel current = file.getChannel();
    return current.isOpen() ? current : reopened();
  }

  private FileChannel reopened() throws IOException {
    reopening.lock();
    try {
      if (closed) {
        throw new ClosedChannelException();
      }
      if (!file.getChannel().isOpen()) {
        requireAtItsPath();
        // It counts as closed as soon as the closing begins; this waits for the end of that, when
        // the JDK has forgotten its lock.
        file.getChannel().close();
        RandomAccessFile again = new RandomAccessFile(path.toFile(), "rw");
        try {
          if (lock != null) {
            lock = relocked(again.getChannel());
          }
        } catch (IOException | OverlappingFileLockException e) {
          again.close();
          throw e;
        }
        file = again;
      }
      return file.getChannel();
    } finally {
      reopening.unlock();
    }
  }

  @Override
  public void close() throws IOException {
    mapping.lock();
    reopening.lock();
    try {
      closed = true;
      if (libc != null) {
        libc.close();
        libc = null;
      }
      if (mapped != null) {
        mapped.close();
      }
      file.close();
    } finally {
      reopening.unlock();
      mapping.unlock();
    }
  }
}
