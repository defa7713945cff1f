/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A random-access run of bytes that is offered to readers, and perhaps writers.
 *
 * <p>Five ways to read, for five kinds of reader:
 *
 * <ul>
 *   <li>{@link #read(long, ByteBuffer)} waits until the bytes are there;
 *   <li>{@link #tryRead} takes them only if that needs no source: the hit path of a transport,
 *       allocation-free;
 *   <li>{@link #transferTo} sends a large present range to a channel without a copy through the
 *       JVM;
 *   <li>{@link #readAsync} never blocks and calls back: the miss path of a transport;
 *   <li>{@link #fetchAsync} does so without a buffer, for large ranges: what has come is then sent
 *       by {@link #transferFetched}.
 * </ul>
 *
 * <p><b>Threads:</b> all methods may be called from any number of threads, virtual ones included,
 * at once. Reads and writes that overlap in time and place give, per block of {@link
 * DeviceCapabilities#minimumBlockBytes} (512 bytes if that is smaller), old or new bytes, never a
 * mix. An interrupt ends a waiting reader with {@link java.io.InterruptedIOException} and harms
 * nobody else.
 *
 * <p><b>Ownership:</b> buffers are lent until the call returns or, for {@link #readAsync}, until
 * the completion runs.
 *
 * <p><b>Errors:</b> bounds are checked here, once: an {@link IndexOutOfBoundsException} names them.
 * After {@link #close} every method that is declared to throw {@link
 * java.nio.channels.ClosedChannelException} does so; of the others, nothing is present and hints
 * are not heeded.
 *
 * @since 0.1
 */
public interface BlockDevice extends Closeable {

  /**
   * Gives the size in bytes.
   *
   * @return the size, zero or more, constant
   */
  long size();

  /**
   * Tells what the device can do.
   *
   * @return the capabilities, constant
   */
  DeviceCapabilities capabilities();

  /**
   * Fills the buffer, waiting for the source where bytes are missing.
   *
   * @param offset the first byte
   * @param dst filled from position to limit; on an exception its content is unspecified
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws java.nio.channels.ClosedChannelException if the device is or gets closed
   * @throws java.io.InterruptedIOException if the thread was interrupted while waiting
   * @throws UloopException if the source or, for a write that has to be read back, the cache fails
   * @throws IOException if it fails otherwise
   */
  void read(long offset, ByteBuffer dst) throws IOException;

  /**
   * Fills the buffer if the whole range is present, without waiting for any source.
   *
   * <p>Allocates nothing and takes no lock on a hit. May wait for local storage.
   *
   * @param offset the first byte
   * @param dst as in {@link #read(long, ByteBuffer)}; if this is {@code false} its position is
   *     where it was, and its content unspecified
   * @return whether the buffer was filled; {@code false} says to use one of the other reads
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws java.nio.channels.ClosedChannelException if the device is closed
   * @throws IOException if it fails otherwise
   */
  boolean tryRead(long offset, ByteBuffer dst) throws IOException;

  /**
   * Fills the buffer and calls back; never blocks on a source.
   *
   * @param offset the first byte
   * @param dst as in {@link #read(long, ByteBuffer)}; lent until the completion runs
   * @param completion told the end, exactly once, also of a bad range or a closed device
   */
  void readAsync(long offset, ByteBuffer dst, ReadCompletion completion);

  /**
   * Fills the buffer and completes a future; never blocks on a source.
   *
   * @param offset the first byte
   * @param dst lent until the future is complete
   * @return completes with the buffer, or exceptionally as {@link #read(long, ByteBuffer)} throws
   */
  default CompletableFuture<ByteBuffer> readAsync(long offset, ByteBuffer dst) {
    CompletableFuture<ByteBuffer> future = new CompletableFuture<>();
    readAsync(
        offset,
        dst,
        failure -> {
          if (failure == null) {
            future.complete(dst);
          } else {
            future.completeExceptionally(failure);
          }
        });
    return future;
  }

  /**
   * Brings a range in and calls back, for a reader that then sends it by {@link #transferFetched};
   * never blocks on a source.
   *
   * <p>Counts as the read, so that {@link #transferFetched} does not count. Whether all is present
   * when the completion runs is not promised: {@link #presentBytes} tells, and what is not is read
   * by {@link #readAsync(long, ByteBuffer, ReadCompletion)}, which is another read.
   *
   * @param offset the first byte
   * @param length how many bytes, one or more
   * @param completion told the end, exactly once, if this is {@code true}
   * @return {@code false} if what is fetched may well not stay, the device is closed, or it does
   *     not offer this (as by default); nothing was begun then, and the completion will not run
   * @throws IndexOutOfBoundsException if the range is not within a device that offers it
   */
  default boolean fetchAsync(long offset, long length, ReadCompletion completion) {
    return false;
  }

  /**
   * Sends bytes of a range that {@link #fetchAsync} has brought in, as {@link #transferTo} does.
   *
   * @param offset the first byte
   * @param length how many bytes at most
   * @param target where to; a non-blocking channel may take less
   * @return how many bytes were sent; 0 if the first byte is not present or the channel is full
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws java.nio.channels.ClosedChannelException if the device is closed
   * @throws IOException if the channel or local storage fails
   */
  default long transferFetched(long offset, long length, WritableByteChannel target)
      throws IOException {
    return transferTo(offset, length, target);
  }

  /**
   * Sends bytes that are present to a channel, from the page cache if the platform can.
   *
   * <p>Sends at most as much as is present from {@code offset} on, and as the channel takes. A
   * transport asks {@link #presentBytes} first, so that it can announce the length.
   *
   * @param offset the first byte
   * @param length how many bytes at most
   * @param target where to; a non-blocking channel may take less
   * @return how many bytes were sent; 0 if the first byte is not present or the channel is full
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws java.nio.channels.ClosedChannelException if the device is closed
   * @throws IOException if the channel or local storage fails
   */
  long transferTo(long offset, long length, WritableByteChannel target) throws IOException;

  /**
   * Counts how many bytes are present from an offset on, without a gap.
   *
   * @param offset the first byte
   * @param length how far to look
   * @return 0 to {@code length}; bytes present now may be gone later if the cache is bounded
   * @throws IndexOutOfBoundsException if the range is not within the device
   */
  long presentBytes(long offset, long length);

  /**
   * Tells which parts of a range are present and which are known zeroes.
   *
   * @param offset the first byte
   * @param length how many bytes, one or more
   * @return extents in order, without gaps, neighbours different, that begin at {@code offset} and
   *     cover at least one byte; they may end before the range does, so that one call stays short
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws java.nio.channels.ClosedChannelException if the device is closed
   * @throws IOException if it fails otherwise
   */
  List<Extent> extents(long offset, long length) throws IOException;

  /**
   * Asks for a range to be fetched in the background.
   *
   * <p>A hint: returns at once, and failures are counted but not reported.
   *
   * @param offset the first byte
   * @param length how many bytes
   * @throws IndexOutOfBoundsException if the range is not within the device
   */
  default void prefetch(long offset, long length) {}

  /**
   * Takes note that a reader was told of zeroes, which {@link #extents} named, without reading
   * them.
   *
   * <p>So that they count as read, and whoever reads forward is still seen to; changes nothing
   * else, and a device that keeps no such account need not override it.
   *
   * @param offset first byte
   * @param length how many, within the device
   * @throws IndexOutOfBoundsException if the range is not within the device
   */
  default void zeroesTold(long offset, long length) {}

  /**
   * Writes the buffer; may block.
   *
   * @param offset the first byte
   * @param src written from position to limit
   * @param fua whether the bytes must be durable at return (force unit access)
   * @throws ReadOnlyException if the device is not writable
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws java.nio.channels.ClosedChannelException if the device is closed
   * @throws IOException if it fails otherwise; each sector is then old or new
   */
  default void write(long offset, ByteBuffer src, boolean fua) throws IOException {
    throw new ReadOnlyException(toString());
  }

  /**
   * Makes every write that returned before durable; may block.
   *
   * @throws java.nio.channels.ClosedChannelException if the device is closed
   * @throws IOException if it fails; it is then unknown what is durable
   */
  void flush() throws IOException;

  /**
   * Says that the range's content is no longer needed; may block.
   *
   * @param offset the first byte
   * @param length how many bytes
   * @param fua whether the effect must be durable at return
   * @throws ReadOnlyException if the device is not writable
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws IOException if it fails otherwise
   */
  default void trim(long offset, long length, boolean fua) throws IOException {
    throw new ReadOnlyException(toString());
  }

  /**
   * Makes the range read as zeroes; may block.
   *
   * @param offset the first byte
   * @param length how many bytes
   * @param mayPunch whether the range may become a hole; else space stays or gets allocated
   * @param fastOnly whether to fail with {@link UnsupportedOperationException}, nothing done, if
   *     this would be no faster than a write
   * @param fua whether the effect must be durable at return
   * @throws ReadOnlyException if the device is not writable
   * @throws IndexOutOfBoundsException if the range is not within the device
   * @throws IOException if it fails otherwise
   */
  default void zero(long offset, long length, boolean mayPunch, boolean fastOnly, boolean fua)
      throws IOException {
    throw new ReadOnlyException(toString());
  }

  /**
   * Gives the counters.
   *
   * @return a snapshot
   */
  DeviceStatistics statistics();

  /**
   * Makes everything durable and ends the device; reads that wait end with {@link
   * java.nio.channels.ClosedChannelException}.
   *
   * <p>Idempotent, and safe from any thread.
   *
   * @throws IOException if something could not be made durable or closed; the device is closed all
   *     the same
   */
  @Override
  void close() throws IOException;
}
