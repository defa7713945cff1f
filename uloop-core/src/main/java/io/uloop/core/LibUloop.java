/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import io.uloop.DeviceTransport.Attachment;
import io.uloop.DeviceTransports;
import io.uloop.ReadSink;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The programming interface of libuloop (2008), for Java.
 *
 * <p>A program names a device, a cache file, a bitmap file and a size, and gives a function that
 * fills the cache file where the device's readers want to read:
 *
 * <pre>{@code
 * try (LibUloop uloop = LibUloop.init(new LibUloop.Init("/dev/nbd0", cache, bitmap, size))) {
 *   uloop.loop((start, length, file) -> file.write(fetch(start, length), start));
 * }
 * }</pre>
 *
 * <table>
 *   <caption>Who knew the original finds it here</caption>
 *   <tr><th>libuloop</th><th>here</th></tr>
 *   <tr><td>{@code struct ulo_init {path[DEV, CACHE, BITMAP], dev_flags, size}}</td>
 *       <td>{@link Init}</td></tr>
 *   <tr><td>{@code ulo_init(&init)}, -1 on failure</td><td>{@link #init}, an exception</td></tr>
 *   <tr><td>the global {@code struct uloop}</td><td>an instance; several at once are fine</td></tr>
 *   <tr><td>{@code uloop.pagesize}, {@code .tgt_size}, {@code .cache_size}</td>
 *       <td>{@link #pageSize}, {@link #targetSize}, {@link #cacheSize}</td></tr>
 *   <tr><td>{@code uloop.fd[CACHE]} in the callback</td><td>{@link CacheFile}</td></tr>
 *   <tr><td>{@code ulo_loop(sig, store, arg)}, until the signal {@code sig}</td>
 *       <td>{@link #loop}, until {@link #close}; {@code arg} is what a lambda captures</td></tr>
 *   <tr><td>{@code int store(start, size, arg)}</td><td>{@link Store#store}</td></tr>
 * </table>
 *
 * <p>Behind it is the same engine as behind {@link CachedDevice}: several calls of the function run
 * at once, the bits on disk are set only after the data is durable, and a failed call fails the
 * reads that wait for it and no others. New programs that need no such likeness write a {@link
 * BlockSource} instead.
 *
 * <p><b>Threads:</b> {@link #loop} is called once; everything else from any thread.
 *
 * @since 0.1
 */
public final class LibUloop implements Closeable {

  private final Init init;
  private final long cacheSize;

  private enum State {
    NEW,
    LOOPING,
    CLOSED
  }

  // Guards all below.
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition ended = lock.newCondition();
  private State state = State.NEW;
  private boolean closing;
  private @Nullable Attachment attachment;

  private LibUloop(Init init) {
    this.init = init;
    cacheSize = new Geometry(init.size(), init.pageSize()).cacheFileBytes();
  }

  /**
   * What a device is made of.
   *
   * @param device where to offer it: any place that a {@link io.uloop.DeviceTransport} accepts
   * @param cache the cache file
   * @param bitmap the bitmap file
   * @param size of the image in bytes
   * @param pageSize the unit of the bitmap in bytes, a power of two of 512 or more
   * @param generation what tells this content from another at the same place, or empty: the cache
   *     is then kept for whatever has the same size, as the original did
   * @since 0.1
   */
  public record Init(
      String device, Path cache, Path bitmap, long size, int pageSize, String generation) {

    /** The unit that the original used. */
    private static final int PAGE_SIZE = 4096;

    /**
     * Checks that everything is there.
     *
     * @param device see the record
     * @param cache see the record
     * @param bitmap see the record
     * @param size see the record
     * @param pageSize see the record
     * @param generation see the record
     */
    public Init {
      Objects.requireNonNull(device, "device");
      Objects.requireNonNull(cache, "cache");
      Objects.requireNonNull(bitmap, "bitmap");
      Objects.requireNonNull(generation, "generation");
      if (size < 0) {
        throw new IllegalArgumentException("negative size: size=" + size);
      }
    }

    /**
     * Names the four things that the original wanted.
     *
     * @param device where to offer it
     * @param cache the cache file
     * @param bitmap the bitmap file
     * @param size of the image in bytes
     */
    public Init(String device, Path cache, Path bitmap, long size) {
      this(device, cache, bitmap, size, PAGE_SIZE, "");
    }
  }

  /** Fills the cache file where it is told to; the program's part of the work. */
  @FunctionalInterface
  public interface Store {

    /**
     * Writes all bytes of {@code [start, start + size)} to the cache file.
     *
     * <p>Called by several threads at once, for different ranges; may block.
     *
     * @param start the first byte
     * @param size how many bytes
     * @param cache takes them, at the same offsets
     * @throws IOException if the bytes cannot be got; who waits for them gets an I/O error
     */
    void store(long start, int size, CacheFile cache) throws IOException;
  }

  /**
   * The part of the cache file that one call of a {@link Store} fills, front to back.
   *
   * <p>What is written is given to the readers that wait for it at once, and kept.
   */
  public static final class CacheFile {

    private final long end;
    private final ReadSink sink;
    private long next;

    CacheFile(long start, int size, ReadSink sink) {
      next = start;
      end = start + size;
      this.sink = sink;
    }

    /**
     * Writes the next bytes.
     *
     * @param src written from position to limit
     * @param position their offset in the image: the range's start, or the end of what was written
     *     before
     * @throws IllegalArgumentException if there is a gap before, or they reach beyond the range
     * @throws IOException if nobody wants the bytes any more; the store function gives up, too
     */
    public void write(ByteBuffer src, long position) throws IOException {
      if (position != next || src.remaining() > end - next) {
        throw new IllegalArgumentException(
            "not the next bytes of the range: position=%d length=%d next=%d end=%d"
                .formatted(position, src.remaining(), next, end));
      }
      next += src.remaining();
      if (src.hasRemaining()) {
        sink.accept(src);
      }
    }

    long missing() {
      return end - next;
    }
  }

  /**
   * Checks and keeps what the device is made of; nothing is opened yet.
   *
   * @param init what it is made of
   * @return an instance; the caller closes it
   * @throws IllegalArgumentException if the page size is none
   */
  public static LibUloop init(Init init) {
    return new LibUloop(init);
  }

  /**
   * Gives the unit of the bitmap.
   *
   * @return bytes
   */
  public int pageSize() {
    return init.pageSize();
  }

  /**
   * Gives the size of the image.
   *
   * @return bytes
   */
  public long targetSize() {
    return init.size();
  }

  /**
   * Gives the size of the cache file.
   *
   * @return bytes: the image's, rounded up to a whole page
   */
  public long cacheSize() {
    return cacheSize;
  }

  /**
   * Offers the device and serves it until it is closed or detached.
   *
   * @param store fills the cache file
   * @throws IllegalStateException if it was called before
   * @throws IllegalArgumentException if no transport accepts the device
   * @throws java.nio.channels.ClosedChannelException if this was closed before
   * @throws io.uloop.UloopException if the pair cannot be used
   * @throws InterruptedException if the thread is interrupted; the device is then gone, too
   * @throws IOException if it cannot be offered, or ends with a failure
   */
  public void loop(Store store) throws IOException, InterruptedException {
    begin();
    try {
      // Before there is a pair of files for nothing.
      DeviceTransports.check(init.device(), Map.of());
      run(store);
    } finally {
      end();
    }
  }

  private void run(Store store) throws IOException, InterruptedException {
    try (CachedDevice device =
        CachedDevice.builder(new LibUloopSource(init, store))
            .pair(new CachePair(init.cache(), init.bitmap()))
            .blockSizeBytes(init.pageSize())
            .open()) {
      try (Attachment served = DeviceTransports.attach(device, init.device(), Map.of())) {
        // Closed in the meantime is an end like any other.
        if (serve(served)) {
          served.await();
        }
      }
    }
  }

  private void begin() throws ClosedChannelException {
    lock.lock();
    try {
      if (closing) {
        throw new ClosedChannelException();
      }
      if (state != State.NEW) {
        throw new IllegalStateException("looped before: device=" + init.device());
      }
      state = State.LOOPING;
    } finally {
      lock.unlock();
    }
  }

  private boolean serve(Attachment served) {
    lock.lock();
    try {
      attachment = served;
      return !closing;
    } finally {
      lock.unlock();
    }
  }

  private void end() {
    lock.lock();
    try {
      state = State.CLOSED;
      attachment = null;
      ended.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends the loop and returns when the device is gone and everything is durable.
   *
   * <p>Idempotent. Not to be called by a store function, for whose end it would wait.
   *
   * @throws IOException if the device could not be detached; it is then still served
   */
  @Override
  public void close() throws IOException {
    Attachment served;
    lock.lock();
    try {
      closing = true;
      served = attachment;
      if (state == State.NEW) {
        state = State.CLOSED;
      }
    } finally {
      lock.unlock();
    }
    // Not under the lock, as it waits for requests that run.
    if (served != null) {
      served.close();
    }
    lock.lock();
    try {
      while (state == State.LOOPING) {
        ended.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }
}
