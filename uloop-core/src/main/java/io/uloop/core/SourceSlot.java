/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import com.google.errorprone.annotations.concurrent.GuardedBy;
import io.uloop.BlockSource;
import io.uloop.SourceChangedException;
import io.uloop.SourceIdentity;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.channels.ClosedChannelException;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * The source of a device: open, not yet (or no longer) open, found to be another one, or let go.
 *
 * <pre>
 *   MISSING --a fetch opens it, identity right--> OPEN --let go (complete), or closed--> ENDED
 *   MISSING --identity wrong--> CHANGED (for good: nothing of it is ever read)
 *   OPEN    --a fetch says that it changed--> CHANGED
 * </pre>
 *
 * <p><b>Threads:</b> any. One thread at a time opens; the others wait for it, and a failure serves
 * all that come within {@link #RETRY_NANOS}, so that a source that is down is asked once.
 */
final class SourceSlot {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final long RETRY_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final @Nullable SourceOpener opener;
  private final SourceIdentity expected;
  private final boolean offline;
  private final IntConsumer allows;
  private final ReentrantLock opening = new ReentrantLock();
  private volatile @Nullable BlockSource source;
  private volatile @Nullable SourceChangedException changed;
  private volatile boolean ended;

  /** Those that open it, or wait for the one that does; may last as long as a connect. */
  private final Set<Thread> openers = ConcurrentHashMap.newKeySet();

  @GuardedBy("opening")
  private @Nullable IOException lastFailure;

  @GuardedBy("opening")
  private long lastFailureNanos;

  /**
   * Makes a slot.
   *
   * @param source open already, or null
   * @param opener opens it when it is missing, or null
   * @param expected what it must be
   * @param offline whether it must be neither opened nor asked, only closed
   * @param allows told the parallelism of a source that was opened, before anybody gets it
   */
  SourceSlot(
      @Nullable BlockSource source,
      @Nullable SourceOpener opener,
      SourceIdentity expected,
      boolean offline,
      IntConsumer allows) {
    this.source = source;
    this.opener = opener;
    this.expected = expected;
    this.offline = offline;
    this.allows = allows;
  }

  /** What the source must be. */
  SourceIdentity identity() {
    return expected;
  }

  /** Gives the open source, opening it if need be; blocks while that lasts. */
  BlockSource get() throws IOException {
    SourceChangedException gone = changed;
    if (gone != null) {
      throw gone.copy();
    }
    BlockSource open = source;
    if (open != null && !offline) {
      return open;
    }
    openers.add(Thread.currentThread());
    try {
      return open();
    } finally {
      openers.remove(Thread.currentThread());
    }
  }

  /** Tells whether a thread waits for the source to be opened; if it was closed, in vain. */
  boolean isOpening(Thread thread) {
    return ended && openers.contains(thread);
  }

  private BlockSource open() throws IOException {
    opening.lock();
    try {
      if (ended) {
        throw new ClosedChannelException();
      }
      BlockSource other = source;
      if (other != null && !offline) {
        return other;
      }
      if (opener == null || offline) {
        throw new SourceUnavailableException(expected.uri() + ": offline, and not in the cache");
      }
      IOException last = lastFailure;
      if (last != null && System.nanoTime() - lastFailureNanos < RETRY_NANOS) {
        throw last instanceof UloopException known ? known.copy() : last;
      }
      try {
        BlockSource fresh = opener.open();
        try {
          check(fresh);
          allows.accept(fresh.parallelism());
        } catch (Throwable e) {
          closeAfter(fresh, e);
          throw e;
        }
        source = fresh;
        lastFailure = null;
        if (ended) {
          // Closed while it was being opened; close() may have come too early to see it.
          source = null;
          fresh.close();
          throw new ClosedChannelException();
        }
        return fresh;
      } catch (IOException e) {
        lastFailure = e;
        lastFailureNanos = System.nanoTime();
        throw e;
      }
    } finally {
      opening.unlock();
    }
  }

  private void check(BlockSource fresh) throws SourceChangedException {
    SourceIdentity is = fresh.identity();
    if (!is.equals(expected)) {
      SourceChangedException gone =
          new SourceChangedException(
              expected.uri()
                  + ": has changed: expected "
                  + describe(expected)
                  + ", found "
                  + is.uri()
                  + " "
                  + describe(is));
      changed(gone);
      throw gone;
    }
  }

  /** Closes what cannot be used, for a reason that counts more than a failure to close. */
  static void closeAfter(@Nullable AutoCloseable useless, Throwable reason) {
    try {
      if (useless != null) {
        useless.close();
      }
    } catch (Throwable e) {
      reason.addSuppressed(e);
    }
  }

  private static String describe(SourceIdentity identity) {
    return "size="
        + identity.size()
        + " validator="
        + identity.validator().map(Object::toString).orElse("none");
  }

  /** Remembers that the source says it has changed; no byte of it is asked for again. */
  void changed(SourceChangedException gone) {
    if (changed == null) {
      LOG.log(Level.WARNING, "{0}; what is present stays readable", gone.getMessage());
    }
    changed = gone;
  }

  /** Whether the source is open now and could be opened again. */
  boolean canReopen() {
    return source != null && opener != null && !offline;
  }

  /** Closes the source until somebody needs it again. */
  void release() throws IOException {
    opening.lock();
    try {
      BlockSource open = source;
      source = null;
      if (open != null) {
        open.close();
      }
    } finally {
      opening.unlock();
    }
  }

  /** Closes the source, for good. */
  void close() throws IOException {
    ended = true;
    BlockSource open = source;
    source = null;
    if (open != null) {
      open.close();
    }
  }
}
