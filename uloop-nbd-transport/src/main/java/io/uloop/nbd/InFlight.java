/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import org.jspecify.annotations.Nullable;

/**
 * The requests of one client that are started and not answered, and the memory that they hold.
 *
 * <p><b>Threads:</b> the connection's loop only.
 */
final class InFlight {

  private final NbdLimits limits;
  private final MemoryBudget budget;

  /** Run, by any thread, when memory that was refused may be had. */
  private final Runnable resume;

  /** Newest first. */
  private @Nullable Request running;

  private int count;
  private long charged;

  InFlight(ServerState server, Runnable resume) {
    this.limits = server.limits();
    this.budget = server.budget();
    this.resume = resume;
  }

  int count() {
    return count;
  }

  /** Gives the bytes that the requests hold. */
  long charged() {
    return charged;
  }

  /** Tells whether one more may be started. */
  boolean mayStart() {
    return count < limits.requestsInFlight();
  }

  /** Reserves memory for a request that may be started; false if it has to wait. */
  boolean mayHold(long bytes) {
    if (!mayStart()
        || (charged > 0 && charged + bytes > limits.connectionBytes())
        || !budget.take(bytes, resume)) {
      return false;
    }
    charged += bytes;
    return true;
  }

  /** Gives memory back that a request held. */
  void discharge(long bytes) {
    if (bytes > 0) {
      charged -= bytes;
      budget.release(bytes);
    }
  }

  /** Counts a request that is started and will be {@link #forget forgotten} later. */
  void started(Request started) {
    count++;
    started.counted = true;
    Request next = running;
    started.next = next;
    if (next != null) {
      next.previous = started;
    }
    running = started;
  }

  /** Counts a request no more, if it did. */
  void forget(Request done) {
    if (!done.counted) {
      return;
    }
    done.counted = false;
    count--;
    Request next = done.next;
    Request previous = done.previous;
    if (next != null) {
      next.previous = previous;
    }
    if (previous != null) {
      previous.next = next;
    } else {
      running = next;
    }
  }

  /** Answers all that runs with an error, as the server stops; their results come too late. */
  void abandon() {
    Request next = running;
    while (next != null) {
      Request following = next.next;
      next.abandon();
      next = following;
    }
  }

  /** Waits for memory no more; what runs gives its own back when it ends. */
  void close() {
    budget.forget(resume);
  }
}
