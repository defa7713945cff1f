/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockDevice;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;

/**
 * Copies a device from its beginning to its end.
 *
 * <p>Ends with {@link InterruptedIOException} when the thread is interrupted; streams, unlike
 * channels, write on all the same.
 */
final class ImageCopy {

  private static final int PIECE_BYTES = 1 << 20;

  /** What a file system gives a hole for. */
  private static final int HOLE_BYTES = 4096;

  private static final byte[] ZEROES = new byte[HOLE_BYTES];

  private final BlockDevice device;
  private final byte[] piece = new byte[PIECE_BYTES];

  ImageCopy(BlockDevice device) {
    this.device = device;
  }

  /** Writes all bytes to a stream. */
  void to(OutputStream out) throws IOException {
    for (long at = 0; at < device.size(); ) {
      int length = read(at);
      out.write(piece, 0, length);
      at += length;
    }
  }

  /**
   * Writes to a file.
   *
   * <p>A regular file is written beside its place, with holes for zeroes, and put there when it is
   * whole and durable. What is no regular file (a block device, a pipe) is written where it is,
   * zeroes and all.
   */
  void to(Path target, boolean overwrite) throws IOException {
    if (Files.exists(target) && !Files.isRegularFile(target)) {
      try (OutputStream out = Files.newOutputStream(target)) {
        to(out);
      }
      return;
    }
    if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && !overwrite) {
      throw new FileAlreadyExistsException(target + " is there already; --overwrite replaces it");
    }
    Path part = target.resolveSibling(target.getFileName() + ".part");
    boolean whole = false;
    try {
      writeSparse(part);
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      whole = true;
    } finally {
      if (!whole) {
        Files.deleteIfExists(part);
      }
    }
  }

  private void writeSparse(Path path) throws IOException {
    try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
      file.setLength(0);
      file.setLength(device.size());
      for (long at = 0; at < device.size(); ) {
        int length = read(at);
        writeSparse(file, at, length);
        at += length;
      }
      file.getFD().sync();
    }
  }

  /** Writes runs of blocks that are not zero. */
  private void writeSparse(RandomAccessFile file, long at, int length) throws IOException {
    int from = 0;
    while (from < length) {
      while (from < length && isZero(from, length)) {
        from += HOLE_BYTES;
      }
      int to = from;
      while (to < length && !isZero(to, length)) {
        to += HOLE_BYTES;
      }
      if (from < length) {
        file.seek(at + from);
        file.write(piece, from, Math.min(to, length) - from);
      }
      from = to;
    }
  }

  private boolean isZero(int from, int length) {
    int to = Math.min(from + HOLE_BYTES, length);
    return Arrays.equals(piece, from, to, ZEROES, 0, to - from);
  }

  private int read(long at) throws IOException {
    if (Thread.currentThread().isInterrupted()) {
      throw new InterruptedIOException("interrupted");
    }
    int length = (int) Math.min(PIECE_BYTES, device.size() - at);
    device.read(at, ByteBuffer.wrap(piece, 0, length));
    return length;
  }
}
