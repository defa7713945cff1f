/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockDevice;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;
import java.util.Arrays;

/**
 * Copies a device from its beginning to its end.
 *
 * <p>What can be made durable, a file or a block device, is when this says that it is done; only
 * then is known whether all was written, as the kernel writes later.
 *
 * <p>Ends with {@link InterruptedIOException} when the thread is interrupted.
 */
final class ImageCopy {

  private static final int PIECE_BYTES = 1 << 20;

  /** What a file system gives a hole for. */
  private static final int HOLE_BYTES = 4096;

  private static final byte[] ZEROES = new byte[HOLE_BYTES];

  /** Of a name, so that what is added to it still fits. */
  private static final int NAME_CHARS = 60;

  private static final Path STANDARD_OUTPUT = Path.of("/dev/stdout");

  private static final int TYPE = 0170000;
  private static final int REGULAR_FILE = 0100000;
  private static final int BLOCK_DEVICE = 0060000;

  private final BlockDevice device;
  private final byte[] piece = new byte[PIECE_BYTES];

  ImageCopy(BlockDevice device) {
    this.device = device;
  }

  /** Takes what was read, at its place in the image. */
  private interface Sink {
    void write(long at, int length) throws IOException;
  }

  /** Writes all bytes to standard output, whatever it is. */
  void toStandardOutput() throws IOException {
    try (FileOutputStream out = new FileOutputStream(FileDescriptor.out)) {
      copy("standard output", (at, length) -> out.write(piece, 0, length));
      if (canBeForced(STANDARD_OUTPUT)) {
        naming("standard output", () -> out.getFD().sync());
      }
    }
  }

  /**
   * Writes to a file.
   *
   * <p>A regular file is written beside its place, under a name that nobody has, with holes for
   * zeroes, and put there when it is whole and durable. What is no regular file (a block device, a
   * pipe) is written where it is, zeroes and all.
   */
  void to(Path target, boolean overwrite) throws IOException {
    if (Files.exists(target) && !Files.isRegularFile(target)) {
      writeInPlace(target);
      return;
    }
    refuseIfThere(target, overwrite);
    Path part = partOf(target);
    FileChannel file =
        FileChannel.open(part, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    boolean whole = false;
    try {
      try (file) {
        writeSparse(target, file);
      }
      refuseIfThere(target, overwrite);
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      whole = true;
      naming(target, () -> forceName(target));
    } finally {
      if (!whole) {
        Files.deleteIfExists(part);
      }
    }
  }

  /** A name is durable with its directory; one that may not be read cannot be forced. */
  private static void forceName(Path target) throws IOException {
    Path directory = target.toAbsolutePath().getParent();
    if (directory != null && Files.isReadable(directory)) {
      try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
        channel.force(true);
      }
    }
  }

  private static void refuseIfThere(Path target, boolean overwrite) throws IOException {
    if (!overwrite && Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
      throw new FileAlreadyExistsException(target + " is there already; --overwrite replaces it");
    }
  }

  private static Path partOf(Path target) {
    String name = String.valueOf(target.getFileName());
    return target.resolveSibling(
        (name.length() > NAME_CHARS ? "export" : name)
            + "."
            + Long.toString(new SecureRandom().nextInt() & 0xffff_ffffL, 36)
            + ".part");
  }

  private void writeInPlace(Path target) throws IOException {
    try (FileChannel file = FileChannel.open(target, StandardOpenOption.WRITE)) {
      copy(target, (at, length) -> writeAll(file, ByteBuffer.wrap(piece, 0, length)));
      if (canBeForced(target)) {
        naming(target, () -> file.force(true));
      }
    }
  }

  /** Tells whether it is kept anywhere; a pipe or a terminal is not. */
  private static boolean canBeForced(Path file) throws IOException {
    if (!Files.exists(file)) {
      return false;
    }
    int type = (int) Files.getAttribute(file, "unix:mode") & TYPE;
    return type == REGULAR_FILE || type == BLOCK_DEVICE;
  }

  private void writeSparse(Path target, FileChannel file) throws IOException {
    copy(target, (at, length) -> writeSparse(file, at, length));
    naming(
        target,
        () -> {
          if (file.size() < device.size()) {
            file.write(ByteBuffer.wrap(ZEROES, 0, 1), device.size() - 1);
          }
          file.force(true);
        });
  }

  /** Writes runs of blocks that are not zero. */
  private void writeSparse(FileChannel file, long at, int length) throws IOException {
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
        file.position(at + from);
        writeAll(file, ByteBuffer.wrap(piece, from, Math.min(to, length) - from));
      }
      from = to;
    }
  }

  private static void writeAll(FileChannel file, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      file.write(bytes);
    }
  }

  private boolean isZero(int from, int length) {
    int to = Math.min(from + HOLE_BYTES, length);
    return Arrays.equals(piece, from, to, ZEROES, 0, to - from);
  }

  private void copy(Object target, Sink sink) throws IOException {
    for (long at = 0; at < device.size(); ) {
      long start = at;
      int length = read(at);
      naming(target, () -> sink.write(start, length));
      at += length;
    }
  }

  private int read(long at) throws IOException {
    if (Thread.currentThread().isInterrupted()) {
      throw new InterruptedIOException("interrupted");
    }
    int length = (int) Math.min(PIECE_BYTES, device.size() - at);
    device.read(at, ByteBuffer.wrap(piece, 0, length));
    return length;
  }

  /** Something that is done to what is written. */
  private interface Step {
    void run() throws IOException;
  }

  /** Has a failure say of what it is: the system's text names no file. */
  private static void naming(Object target, Step step) throws IOException {
    try {
      step.run();
    } catch (ClosedByInterruptException e) {
      InterruptedIOException interrupted = new InterruptedIOException("interrupted");
      interrupted.initCause(e);
      throw interrupted;
    } catch (IOException e) {
      throw new IOException("cannot write " + target + ": " + e.getMessage(), e);
    }
  }
}
