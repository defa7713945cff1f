/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * The few things that the engine asks of a file system.
 *
 * <p>The one real implementation is {@link LocalStorage}. Tests put a layer between that fails a
 * chosen step, or logs every step so that the states a power cut may leave can be made again.
 */
interface Storage {

  /** How a file is opened. */
  enum Mode {
    /** Must exist. */
    EXISTING,
    /** Made if it is missing. */
    CREATE
  }

  /** Opens a file for reading and writing. */
  File open(Path path, Mode mode) throws IOException;

  /** Tells whether there is such a file. */
  boolean exists(Path path);

  /** Identifies a file, whatever its name: device and inode. */
  String key(Path path) throws IOException;

  /** More than this is not read at once. */
  int MOST_BYTES = 1 << 20;

  /** Reads a whole small file; of one that is larger than {@link #MOST_BYTES} a byte more. */
  byte[] readAll(Path path) throws IOException;

  /**
   * Makes the file have this content, durably, so that a crash leaves the old or the new. It is
   * written to {@link #freshOf} first.
   */
  void replace(Path path, byte[] content) throws IOException;

  /** The name that new content of a file has until it takes the file's place. */
  static Path freshOf(Path path) {
    return path.resolveSibling(path.getFileName() + ".new");
  }

  /** Makes the directory's entries durable. */
  void forceDirectory(@Nullable Path directory) throws IOException;

  /**
   * Where the file is: for a symbolic link what it leads to, there or not, else the path itself.
   */
  default Path target(Path path) throws IOException {
    return path;
  }

  /** Removes the file if it is there; of a symbolic link that, and not what it leads to. */
  void delete(Path path) throws IOException;

  /** An open file; positional I/O only. Any thread, except that {@link #close} comes last. */
  interface File extends java.io.Closeable {
    /** Where the file is, for messages. */
    Path path();

    /** Its size in bytes. */
    long size() throws IOException;

    /** Cuts or extends it (with a hole) to a size. */
    void setSize(long size) throws IOException;

    /** Fills the buffer; throws {@link java.io.EOFException} if the file ends before. */
    void read(ByteBuffer dst, long position) throws IOException;

    /** Writes the whole buffer. */
    void write(ByteBuffer src, long position) throws IOException;

    /** Makes what was written before durable (fdatasync). */
    void force() throws IOException;

    /** Gives the space of a range back; it reads as zeroes afterwards. */
    void punch(long position, long length) throws IOException;

    /** The bytes of storage that the file occupies. */
    long allocatedBytes() throws IOException;

    /** As {@link Storage#key}, of the file that is open. */
    String key();

    /**
     * A mark that was put on the file and goes with it, not with its inode's number; null if there
     * is none, or the file system has no such thing.
     */
    @Nullable String mark() throws IOException;

    /** Marks the file, durably; does nothing where that cannot be. */
    void setMark(String mark) throws IOException;

    /** Maps a part read-only; null if this storage cannot, and then {@link #read} must do. */
    @Nullable ByteBuffer map(long position, long length) throws IOException;

    /** Sends a part to a channel; at most {@code length} bytes, perhaps none. */
    long transferTo(long position, long length, WritableByteChannel target) throws IOException;

    /** Takes the operating system's lock; false if another process has it. */
    boolean tryLock() throws IOException;

    @Override
    void close() throws IOException;
  }
}
