/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import io.uloop.BlockSource;
import io.uloop.ByteRange;
import io.uloop.Extent;
import io.uloop.ReadOnlyException;
import io.uloop.ReadSink;
import io.uloop.SourceChangedException;
import io.uloop.SourceIdentity;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import io.uloop.Validator;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * An image file or block device of this machine.
 *
 * <p><b>Threads:</b> safe for any number. An interrupt ends the interrupted read with {@link
 * InterruptedIOException} and no other.
 *
 * <p><b>Errors:</b> what cannot be opened is a {@link SourceRefusedException} that says why; a file
 * that changed since it was opened a {@link SourceChangedException}; a failing disk, or a file that
 * was moved away, a {@link SourceUnavailableException}.
 *
 * @since 0.1
 */
public final class FileBlockSource implements BlockSource {

  // A piece is read, checked and handed over while the next is still on the disk.
  private static final int PIECE_BYTES = 256 * 1024;

  // More extents than this in one answer help nobody; the caller asks on from where they end.
  private static final int MOST_EXTENTS = 1024;

  private static final Pattern CONTROL = Pattern.compile("[\\p{Cc}\\p{Zl}\\p{Zp}]");

  private final Path path;
  private final FileState opened;
  private final boolean writable;
  private final long size;
  private final boolean rotational;
  private final SourceIdentity identity;
  private final SharedFile file;
  private final NativeCalls natives;

  // Direct buffers between reads; never more of them than reads at once.
  private final ConcurrentLinkedQueue<ByteBuffer> pieces = new ConcurrentLinkedQueue<>();

  private FileBlockSource(
      Path path,
      FileState opened,
      boolean writable,
      long size,
      SharedFile file,
      NativeCalls natives) {
    this.path = path;
    this.opened = opened;
    this.writable = writable;
    this.size = size;
    this.file = file;
    this.natives = natives;
    Sysfs sysfs = new Sysfs(Path.of("/sys"));
    boolean device = opened.blockDevice();
    rotational = sysfs.rotational(device ? opened.specialDevice() : opened.device());
    Validator validator =
        device
            ? sysfs.validator(opened.specialDevice())
            : new Validator(Validator.Kind.MTIME, opened.inode() + ":" + opened.modifiedNanos());
    identity = new SourceIdentity(uri(path), size, Optional.of(validator));
  }

  /**
   * Opens an image file or block device.
   *
   * @param path where it is; links are followed
   * @param writable whether writes shall be possible
   * @return the source; the caller closes it
   * @throws SourceRefusedException if it does not exist, is neither a file nor a block device, or
   *     permissions forbid it
   * @throws IOException if it cannot be opened otherwise
   */
  public static FileBlockSource open(Path path, boolean writable) throws IOException {
    return open(path, false, writable);
  }

  static FileBlockSource open(Path given, boolean mustBeDevice, boolean writable)
      throws IOException {
    Path path = given.toAbsolutePath().normalize();
    FileState state = inspect(path, mustBeDevice);
    SharedFile file = null;
    NativeCalls natives = new NativeCalls(path, writable);
    try {
      file = new SharedFile(() -> openSame(path, state, writable));
      long size = state.blockDevice() ? natives.deviceSize() : state.size();
      return new FileBlockSource(path, state, writable, size, file, natives);
    } catch (IOException | RuntimeException e) {
      closeAfter(e, natives);
      closeAfter(e, file);
      throw e;
    }
  }

  private static FileState inspect(Path path, boolean mustBeDevice) throws IOException {
    FileState state;
    try {
      state = FileState.of(path);
    } catch (UnsupportedOperationException | IllegalArgumentException e) {
      throw new SourceRefusedException(
          "cannot open " + uri(path) + ": this platform does not say what kind of file it is", e);
    } catch (IOException e) {
      throw refused(path, "open", e);
    }
    // A named pipe would block in open(2), so the kind is looked at first.
    if (!state.blockDevice() && (mustBeDevice || !state.regular())) {
      throw new SourceRefusedException(
          uri(path)
              + " is "
              + state.kind()
              + ", not a block device"
              + (mustBeDevice ? "" : " or image file"));
    }
    return state;
  }

  private static FileChannel openSame(Path path, FileState expected, boolean writable)
      throws IOException {
    Set<OpenOption> options =
        writable
            ? Set.of(StandardOpenOption.READ, StandardOpenOption.WRITE)
            : Set.of(StandardOpenOption.READ);
    FileChannel channel;
    try {
      channel = FileChannel.open(path, options);
    } catch (IOException e) {
      throw refused(path, writable ? "open for writing" : "open", e);
    }
    try {
      if (!FileState.of(path).sameFile(expected)) {
        throw new SourceChangedException(uri(path) + " was replaced by another file");
      }
      return channel;
    } catch (IOException e) {
      closeAfter(e, channel);
      throw e;
    }
  }

  private static IOException refused(Path path, String step, IOException e) {
    String why;
    if (e instanceof NoSuchFileException) {
      why = "no such file";
    } else if (e instanceof AccessDeniedException) {
      why = "permission denied";
    } else if (e instanceof FileSystemException fs && fs.getReason() != null) {
      why = fs.getReason();
    } else {
      why = String.valueOf(e.getMessage());
    }
    return new SourceRefusedException("cannot " + step + " " + uri(path) + ": " + why, e);
  }

  private static void closeAfter(Exception failure, @Nullable Closeable resource) {
    try {
      if (resource != null) {
        resource.close();
      }
    } catch (IOException e) {
      failure.addSuppressed(e);
    }
  }

  /** The path as it is, but for what an identity cannot have, and a log should not. */
  private static String uri(Path path) {
    return "file:"
        + CONTROL
            .matcher(path.toString())
            .replaceAll(
                match ->
                    "%"
                        + HexFormat.ofDelimiter("%")
                            .withUpperCase()
                            .formatHex(match.group().getBytes(StandardCharsets.UTF_8)));
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public SourceIdentity identity() {
    return identity;
  }

  /** Two on a spinning disk, so that it never waits for us but seeks little; else eight. */
  @Override
  public int parallelism() {
    return rotational ? 2 : 8;
  }

  @Override
  public boolean rotational() {
    return rotational;
  }

  @Override
  public boolean writable() {
    return writable;
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    readRaw(offset, dst);
    checkSame();
  }

  @Override
  public void read(long offset, long length, ReadSink sink) throws IOException {
    ByteBuffer kept = pieces.poll();
    ByteBuffer piece = kept != null ? kept : ByteBuffer.allocateDirect(PIECE_BYTES);
    try {
      for (long done = 0; done < length; ) {
        piece.clear().limit((int) Math.min(piece.capacity(), length - done));
        read(offset + done, piece);
        done += piece.flip().remaining();
        sink.accept(piece);
      }
    } finally {
      pieces.add(piece);
    }
  }

  private void readRaw(long offset, ByteBuffer dst) throws IOException {
    int limit = dst.limit();
    long at = offset;
    try {
      if (!dst.hasRemaining()) {
        checkOpen();
      }
      while (dst.position() < limit) {
        // The JDK keeps a direct buffer per thread as large as the largest read into the heap.
        dst.limit(dst.isDirect() ? limit : Math.min(limit, dst.position() + PIECE_BYTES));
        int count = file.read(dst, at);
        if (count < 0) {
          throw new SourceChangedException(
              uri(path) + " ends at or before " + at + ", was opened with size=" + size);
        }
        at += count;
      }
    } catch (IOException e) {
      throw failed("read", at, e);
    } finally {
      dst.limit(limit);
    }
  }

  /** Throws unless the file is still what the identity says. */
  private void checkSame() throws IOException {
    FileState now;
    try {
      now = FileState.of(path);
    } catch (IOException e) {
      throw new SourceUnavailableException(
          uri(path) + " is no longer there: " + e.getClass().getSimpleName(), e);
    }
    if (!now.sameFile(opened)) {
      throw new SourceChangedException(uri(path) + " was replaced by another file");
    } else if (opened.regular() && now.size() != size) {
      throw new SourceChangedException(
          uri(path) + " changed its size from " + size + " to " + now.size());
    } else if (opened.regular() && !writable && now.modifiedNanos() != opened.modifiedNanos()) {
      throw new SourceChangedException(
          uri(path)
              + " was modified at "
              + now.modifiedNanos()
              + " ns, was opened with "
              + opened.modifiedNanos()
              + " ns");
    }
  }

  private IOException failed(String step, long offset, IOException e) {
    if (file.isClosed()) {
      ClosedChannelException closed = new ClosedChannelException();
      closed.initCause(e);
      return closed;
    } else if (e instanceof UloopException || e instanceof InterruptedIOException) {
      return e;
    }
    return new SourceUnavailableException(
        "cannot " + step + " " + uri(path) + " at " + offset + ": " + e.getMessage(), e);
  }

  private void checkOpen() throws IOException {
    if (file.isClosed()) {
      throw new ClosedChannelException();
    }
  }

  private void checkWritable() throws IOException {
    checkOpen();
    if (!writable) {
      throw new ReadOnlyException(uri(path));
    }
  }

  @Override
  public void write(long offset, ByteBuffer src) throws IOException {
    checkWritable();
    int limit = src.limit();
    long at = offset;
    try {
      while (src.position() < limit) {
        src.limit(src.isDirect() ? limit : Math.min(limit, src.position() + PIECE_BYTES));
        at += file.write(src, at);
      }
    } catch (IOException e) {
      throw failed("write", at, e);
    } finally {
      src.limit(limit);
    }
  }

  @Override
  public void flush() throws IOException {
    checkOpen();
    if (writable) {
      try {
        file.force();
      } catch (IOException e) {
        throw failed("flush", 0, e);
      }
    }
  }

  @Override
  public void trim(long offset, long length) throws IOException {
    checkWritable();
    if (length > 0) {
      // Where it cannot be done the space stays; the content is undefined either way.
      allocate("trim", LibC.FALLOC_FL_PUNCH_HOLE, offset, length);
    }
  }

  @Override
  public void zero(long offset, long length) throws IOException {
    checkWritable();
    if (length > 0 && !allocate("zero", LibC.FALLOC_FL_ZERO_RANGE, offset, length)) {
      BlockSource.super.zero(offset, length);
    }
  }

  private boolean allocate(String step, int mode, long offset, long length) throws IOException {
    try {
      return natives.allocate(mode | LibC.FALLOC_FL_KEEP_SIZE, offset, length);
    } catch (IOException e) {
      throw failed(step, offset, e);
    }
  }

  @Override
  public List<Extent> extents(long offset, long length) throws IOException {
    checkOpen();
    if (opened.regular()) {
      try {
        Optional<NativeFile> seekable = natives.file();
        if (seekable.isPresent()) {
          List<Extent> extents = seek(seekable.get(), offset, offset + length);
          checkSame();
          return extents;
        }
      } catch (IOException e) {
        throw failed("find holes of", offset, e);
      }
    }
    return BlockSource.super.extents(offset, length);
  }

  private static List<Extent> seek(NativeFile file, long start, long end) throws IOException {
    List<Extent> extents = new ArrayList<>();
    for (long at = start; at < end && extents.size() < MOST_EXTENTS; ) {
      long data = file.nextData(at);
      boolean hole = data != at;
      long next = hole ? data : file.nextHole(at);
      // Past the last data there are only zeroes.
      next = next < 0 ? end : Math.min(next, end);
      extents.add(new Extent(new ByteRange(at, next), true, hole));
      at = next;
    }
    return extents;
  }

  @Override
  public void close() throws IOException {
    try {
      file.close();
    } finally {
      natives.close();
    }
  }

  @Override
  public String toString() {
    return identity.uri();
  }
}
