/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The time limits of one client: for its handshake, for saying nothing, for holding memory that
 * others wait for, and for what still runs when the server stops.
 *
 * <p><b>Threads:</b> the connection's loop only.
 */
final class ConnectionClock {

  /**
   * The part of what it holds that a client has to move within the stall time while others wait for
   * memory: one that sends or takes a byte now and then is no better than one that stands still.
   */
  private static final int PACE = 16;

  /** How long the requests that run when the server stops may take before they fail. */
  private static final long STOP_GRACE_NANOS = TimeUnit.MILLISECONDS.toNanos(1000);

  /** When, after they were failed, a connection is closed whatever it does. */
  private static final long STOP_LIMIT_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final NbdLimits limits;
  private final MemoryBudget budget;
  private final long connectedAt = System.nanoTime();
  private long lastProgress = connectedAt;

  /** Bytes that went either way since {@link #paceSince}. */
  private long paceBytes;

  private long paceSince = connectedAt;

  /** Whether the server stops, and since when. */
  private boolean stopping;

  private long stopAt;

  /** Whether what still runs was failed, and since when. */
  private boolean abandoned;

  private long abandonedAt;

  ConnectionClock(ServerState server) {
    limits = server.limits();
    budget = server.budget();
  }

  /** Takes note of bytes that went either way. */
  void moved(long bytes) {
    paceBytes += bytes;
    lastProgress = System.nanoTime();
  }

  /** Takes note that the server begins to stop. */
  void stop() {
    stopping = true;
    stopAt = System.nanoTime();
  }

  boolean stopping() {
    return stopping;
  }

  /**
   * Tells why the client is to be dropped now.
   *
   * @param requests what it has in flight; null while it is in its handshake
   * @param held whether what it holds is held up by it: it does not take its output, or has not
   *     sent all of a payload
   * @return the reason; null if there is none
   */
  @Nullable String overdue(long now, @Nullable InFlight requests, boolean held) {
    if (requests == null && now - connectedAt > nanos(limits.handshakeTime())) {
      return "its handshake takes too long";
    }
    if (abandoned && now - abandonedAt > STOP_LIMIT_NANOS) {
      return "the server stops";
    }
    if (!limits.idleTime().isZero()
        && now - lastProgress > nanos(limits.idleTime())
        && (requests == null || requests.count() == 0)) {
      return "it is idle";
    }
    return requests != null && hoards(now, requests.charged(), held) ? "it stands still" : null;
  }

  /** A limit as nanoseconds; what is too long for that never comes. */
  private static long nanos(Duration limit) {
    return TimeUnit.NANOSECONDS.convert(limit);
  }

  /** Tells whether it holds memory that others wait for, and moves next to nothing of it. */
  private boolean hoards(long now, long charged, boolean held) {
    boolean suspect = held && charged > 0 && budget.contended();
    if (suspect && now - paceSince <= nanos(limits.stallTime())) {
      return false;
    }
    boolean slow = paceBytes < Math.max(1, charged / PACE);
    paceSince = now;
    paceBytes = 0;
    return suspect && slow;
  }

  /** Tells whether the server stops and what still runs is to fail now. */
  boolean graceIsOver(long now) {
    if (!stopping || now - stopAt <= STOP_GRACE_NANOS) {
      return false;
    }
    if (!abandoned) {
      // From here on: a loop that had no processor in time says all the same why it ends.
      abandoned = true;
      abandonedAt = now;
    }
    return true;
  }
}
