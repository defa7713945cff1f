/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;

/**
 * A remote or slow place that a device's bytes come from.
 *
 * <p>Three methods are required, {@link #size}, {@link #read(long, ByteBuffer)} and {@link #close};
 * everything else has a default that is right for a plain read-only source. Life of a source:
 *
 * <pre>
 *   open (provider or constructor) -> size, identity, capabilities: asked once, then constant
 *        -> read, write, flush, trim, zero, extents: any number, up to parallelism() at once
 *        -> close: once or more, at any time
 * </pre>
 *
 * <p><b>Bounds:</b> the caller has checked them; {@code 0 <= offset}, {@code offset + length <=
 * size()}. A source may trust its arguments.
 *
 * <p><b>Threads:</b> methods are called from several threads at once, but at most {@link
 * #parallelism} reads at a time. Reads may block; they are run on threads that may. {@link #close}
 * may come while reads run.
 *
 * <p><b>Errors:</b> the outside world fails with a {@link UloopException}; any other {@link
 * IOException} counts as {@link SourceUnavailableException}. A read that throws may have handed
 * over some bytes; they must have been right.
 *
 * @since 0.1
 */
public interface BlockSource extends Closeable {

  /**
   * Gives the size in bytes.
   *
   * @return the size, zero or more, the same for the life of the source
   */
  long size();

  /**
   * Fills the buffer from the given offset, or throws: there are no short reads.
   *
   * @param offset the first byte
   * @param dst filled from position to limit; at return the position is the limit. Lent for the
   *     call; on an exception its content is unspecified
   * @throws SourceChangedException if the bytes are of another generation than {@link #identity}
   * @throws SourceUnavailableException if the source cannot be reached or did not answer in time
   * @throws SourceRefusedException if the source answers that it will not give the bytes
   * @throws java.nio.channels.ClosedChannelException if the source is closed, before or meanwhile
   * @throws IOException if the read fails otherwise
   */
  void read(long offset, ByteBuffer dst) throws IOException;

  /**
   * Streams a range into a sink, in order, as the bytes arrive.
   *
   * <p>The default reads pieces of 256 KiB with {@link #read(long, ByteBuffer)}. A source whose
   * bytes trickle in (a network) overrides it, so that readers need not wait for the whole fetch.
   *
   * @param offset the first byte
   * @param length how many bytes, one or more
   * @param sink takes exactly {@code length} bytes unless this method throws
   * @throws SourceProtocolException by the default, if {@link #read(long, ByteBuffer)} returned
   *     with the buffer not filled
   * @throws IOException as {@link #read(long, ByteBuffer)}, or what the sink threw
   */
  default void read(long offset, long length, ReadSink sink) throws IOException {
    ByteBuffer piece = ByteBuffer.allocate((int) Math.min(length, 256 * 1024));
    for (long done = 0; done < length; ) {
      piece.clear().limit((int) Math.min(piece.capacity(), length - done));
      int wanted = piece.limit();
      read(offset + done, piece);
      if (piece.position() != wanted) {
        throw new SourceProtocolException(
            "%s: filled %d of %d bytes at %d"
                .formatted(identity().uri(), piece.position(), wanted, offset + done));
      }
      piece.flip();
      done += piece.remaining();
      sink.accept(piece);
    }
  }

  /**
   * Tells what this source is, for the cache to remember.
   *
   * <p>The default has the class name for a URI and no validator.
   *
   * @return the identity, constant for the life of the source
   */
  default SourceIdentity identity() {
    return new SourceIdentity("source:" + getClass().getName(), size(), Optional.empty());
  }

  /**
   * Gives the size of a fetch that the source serves efficiently.
   *
   * @return bytes, a power of two; the default is 1 MiB
   */
  default int preferredFetchBytes() {
    return 1 << 20;
  }

  /**
   * Gives the number of reads that may run at once.
   *
   * @return one or more; the default, 1, makes the caller serialise its reads
   */
  default int parallelism() {
    return 1;
  }

  /**
   * Tells whether the source sits on a spinning disk or the like.
   *
   * @return whether seeks are dear; {@code false} by default
   */
  default boolean rotational() {
    return false;
  }

  /**
   * Tells whether {@link #write}, {@link #flush}, {@link #trim} and {@link #zero} work.
   *
   * @return {@code false} by default
   */
  default boolean writable() {
    return false;
  }

  /**
   * Writes the buffer at the given offset.
   *
   * @param offset the first byte
   * @param src written from position to limit; lent for the call
   * @throws ReadOnlyException if the source is not {@link #writable} (the default)
   * @throws IOException if the write fails; any part of it may have happened
   */
  default void write(long offset, ByteBuffer src) throws IOException {
    throw new ReadOnlyException(identity().uri());
  }

  /**
   * Makes everything durable that was written before.
   *
   * @throws IOException if that fails; it is then unknown what is durable
   */
  default void flush() throws IOException {}

  /**
   * Says that the range's content is no longer needed; what it reads as afterwards is undefined.
   *
   * @param offset the first byte
   * @param length how many bytes
   * @throws ReadOnlyException if the source is not {@link #writable} (the default)
   * @throws IOException if it fails
   */
  default void trim(long offset, long length) throws IOException {
    if (!writable()) {
      throw new ReadOnlyException(identity().uri());
    }
  }

  /**
   * Makes the range read as zeroes.
   *
   * <p>The default writes zeroes.
   *
   * @param offset the first byte
   * @param length how many bytes
   * @throws ReadOnlyException if the source is not {@link #writable}
   * @throws IOException if it fails
   */
  default void zero(long offset, long length) throws IOException {
    ByteBuffer zeroes = ByteBuffer.allocate((int) Math.min(length, 64 * 1024));
    for (long done = 0; done < length; ) {
      zeroes.clear().limit((int) Math.min(zeroes.capacity(), length - done));
      done += zeroes.remaining();
      write(offset + done - zeroes.remaining(), zeroes);
    }
  }

  /**
   * Tells which parts of a range are known to be zero, without reading them.
   *
   * <p>The default knows nothing: one extent that is not zero.
   *
   * @param offset the first byte
   * @param length how many bytes, one or more
   * @return extents in order, without gaps, that begin at {@code offset} and cover at least one
   *     byte and at most the range; fewer bytes than asked are right
   * @throws IOException if the source cannot be asked
   */
  default List<Extent> extents(long offset, long length) throws IOException {
    return List.of(new Extent(ByteRange.ofLength(offset, length), true, false));
  }

  /**
   * Ends the source and frees what it holds; reads that run end soon with an exception.
   *
   * <p>Idempotent, and safe from any thread. A device that is closed waits for it.
   *
   * @throws IOException if something could not be closed; the source is closed all the same
   */
  @Override
  void close() throws IOException;
}
