/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.BlockSource;
import io.uloop.ReadSink;
import io.uloop.SourceChangedException;
import io.uloop.SourceIdentity;
import io.uloop.SourceRefusedException;
import io.uloop.UloopException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A read-only source behind an http or https URL whose server serves byte ranges.
 *
 * <p>See the package's description for the way of a read and the guarantees.
 *
 * <p><b>Threads:</b> any; up to {@link #parallelism} reads at once, each on the thread that calls.
 *
 * <p><b>Errors:</b> as {@link BlockSource} says; every message names the URL without secrets, the
 * range, and what the server answered.
 *
 * @since 0.1
 */
public final class HttpBlockSource implements BlockSource {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");
  private static final AtomicInteger COUNT = new AtomicInteger();
  // A read that failed is said in the log at most this often.
  private static final long NOTED_EACH_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final HttpSettings config;
  private final Connections connections;
  private final Watchdog watchdog;
  private final BufferPool buffers = new BufferPool(false);
  private final Hedging hedging;
  private final Origins origins;
  private final Generation generation;
  private final SourceIdentity identity;
  private final AtomicLong lastNoted = new AtomicLong(System.nanoTime() - NOTED_EACH_NANOS);
  private volatile boolean closed;

  private HttpBlockSource(HttpSettings config) throws IOException {
    this.config = config;
    LazyTls tls = new LazyTls(config.tls());
    if (config.tls().insecure()) {
      LOG.log(
          System.Logger.Level.WARNING,
          () ->
              config.url().shown()
                  + ": INSECURE: certificates are not checked; anybody on the way can read and"
                  + " change what is read");
    }
    if (config.url().secure()) {
      // Here, so that a bad file is said once and plainly.
      try {
        tls.loaded();
      } catch (IOException e) {
        throw new SourceRefusedException(config.url().shown() + ": cannot set up TLS: " + e, e);
      }
    }
    Access access = config.access();
    connections = new Connections(config, tls);
    Transport transport = new Transport(connections, config);
    String name = "uloop-http-" + COUNT.incrementAndGet();
    watchdog = new Watchdog(name, connections::closeOldIdle);
    hedging = new Hedging(name);
    HttpUrl url = config.url();
    List<Origin> all = new ArrayList<>();
    all.add(new Origin(url, config, access, transport, circuit()));
    for (HttpUrl mirror : config.mirrors()) {
      all.add(new Origin(mirror, config, config.mirrorAccess(mirror), transport, circuit()));
    }
    origins = new Origins(all, config, watchdog);
    try {
      generation = origins.open();
    } catch (IOException | RuntimeException e) {
      close();
      throw e;
    }
    identity = new SourceIdentity(url.identity(), generation.size(), generation.validator());
    LOG.log(
        generation.validator().isPresent()
            ? System.Logger.Level.DEBUG
            : System.Logger.Level.WARNING,
        () ->
            origins.primary().shown()
                + ": "
                + generation.size()
                + " bytes, "
                + generation
                    .validator()
                    .map(v -> "known by " + v)
                    .orElse("known by its size alone, as the server sends no validator"));
  }

  /**
   * Opens a source: asks the server for size, validator and one byte.
   *
   * @param config the URL and how to read it
   * @return the source; the caller closes it
   * @throws io.uloop.SourceUnavailableException if the server cannot be reached
   * @throws io.uloop.SourceRefusedException if it does not give the image, or not in ranges
   * @throws io.uloop.SourceProtocolException if its answers make no sense
   * @throws InterruptedIOException if the thread was interrupted
   * @throws IOException if it fails otherwise
   */
  public static HttpBlockSource open(HttpSourceConfig config) throws IOException {
    return new HttpBlockSource(config.settings());
  }

  private static Circuit circuit() {
    return new Circuit(System::nanoTime, System.nanoTime());
  }

  @Override
  public long size() {
    return generation.size();
  }

  @Override
  public SourceIdentity identity() {
    return identity;
  }

  @Override
  public int preferredFetchBytes() {
    return config.fetchBytes();
  }

  @Override
  public int parallelism() {
    return config.connections();
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    read(offset, dst.remaining(), dst::put);
  }

  @Override
  public void read(long offset, long length, ReadSink sink) throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    if (length == 0) {
      return;
    }
    try {
      new RangeRead(this, offset, length, sink).run();
    } catch (SourceChangedException e) {
      // The cache says so, once.
      throw e;
    } catch (UloopException e) {
      note(e);
      throw e;
    }
  }

  // Many readers may fail for one reason, again and again; who operates this must see it, not
  // drown.
  private void note(UloopException e) {
    long now = System.nanoTime();
    long noted = lastNoted.get();
    if (now - noted >= NOTED_EACH_NANOS && lastNoted.compareAndSet(noted, now)) {
      LOG.log(System.Logger.Level.WARNING, e::getMessage);
    }
  }

  /**
   * Tells whether bytes come through TLS: from the URL's server, from where its redirects have led
   * by now, or from a mirror.
   *
   * @return whether any do
   */
  public boolean encrypted() {
    return origins.anySecure();
  }

  HttpSettings config() {
    return config;
  }

  Connections connections() {
    return connections;
  }

  Watchdog watchdog() {
    return watchdog;
  }

  BufferPool buffers() {
    return buffers;
  }

  Origins origins() {
    return origins;
  }

  Hedging hedging() {
    return hedging;
  }

  Generation generation() {
    return generation;
  }

  boolean closed() {
    return closed;
  }

  @Override
  public void close() {
    closed = true;
    watchdog.close();
    connections.close();
    hedging.close();
    origins.wake();
  }

  @Override
  public String toString() {
    return origins.primary().shown();
  }
}
