/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The URL of an image and its mirrors, and which of them is asked next.
 *
 * <p>A mirror is asked for its size and validators before it is used the first time, and is used
 * only if {@link Generation#sameImage} holds (or sizes are equal, if the configuration says that is
 * enough). One that turns out to have another image is left out for good, one that refuses for a
 * while.
 *
 * <p><b>Threads:</b> any. The lock makes mirrors be asked for the first time one at a time; it is
 * held during that request, and nobody waits for it but those who want a mirror.
 */
final class Origins {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  /** How long one that refused comes last. */
  static final long PASSED_OVER_NANOS = TimeUnit.SECONDS.toNanos(30);

  // How long the others would have to be waited for until one that comes last is asked.
  private static final long LAST_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final List<Origin> all;
  private final HttpSettings config;
  private final Watchdog watchdog;
  private final ReentrantLock probing = new ReentrantLock();

  Origins(List<Origin> all, HttpSettings config, Watchdog watchdog) {
    this.all = List.copyOf(all);
    this.config = config;
    this.watchdog = watchdog;
  }

  Origin primary() {
    return all.get(0);
  }

  boolean single() {
    return all.size() == 1;
  }

  /** Tells whether one of them is reached through TLS, where its redirects end by now. */
  boolean anySecure() {
    return all.stream().anyMatch(origin -> origin.place().url().secure());
  }

  /** Finds out what the image is, as {@link Opening} does. */
  Generation open() throws IOException {
    return new Opening(all, config, watchdog).run();
  }

  /**
   * Chooses whom to ask: the first in order that may be asked now, else the one that may be asked
   * soonest. One that refused lately comes last, but is not kept from being asked if the others are
   * down: a refusal that was a mistake must not stop a device.
   *
   * @param avoid the one that failed just now; chosen only if the others are down
   * @param refused those that refused the present read; chosen only if there are no others
   */
  Origin choose(@Nullable Origin avoid, Set<Origin> refused) {
    if (single()) {
      return primary();
    }
    Origin best = null;
    long soonest = Long.MAX_VALUE;
    for (Origin origin : all) {
      if (origin.leftOut()) {
        continue;
      }
      long wait = origin.circuit().nanosUntilAdmission();
      if (origin.equals(avoid)) {
        wait += Circuit.FIRST_OPEN_NANOS;
      }
      if (refused.contains(origin)) {
        wait += PASSED_OVER_NANOS;
      } else if (origin.passedOver()) {
        wait += LAST_NANOS;
      }
      if (wait < soonest) {
        soonest = wait;
        best = origin;
      }
    }
    return best != null ? best : primary();
  }

  /** Gives another one that may be asked at once; null if there is none. */
  @Nullable Origin otherThan(Origin origin) {
    for (Origin other : all) {
      if (!other.equals(origin)
          && !other.leftOut()
          && !other.passedOver()
          && other.circuit().nanosUntilAdmission() == 0) {
        return other;
      }
    }
    return null;
  }

  /**
   * Makes sure that what a mirror has is the image.
   *
   * @param reference what the image is
   * @return what it is at the mirror
   * @throws AttemptFailure if it cannot be asked, or has another image
   */
  Generation ready(Origin origin, Generation reference, Attempt attempt, long deadline)
      throws AttemptFailure, InterruptedIOException {
    Generation pinned = origin.pinned();
    if (pinned != null) {
      return pinned;
    }
    try {
      if (!probing.tryLock(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) {
        throw new AttemptFailure(Kind.UNREACHABLE, "a mirror has not answered yet");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException("interrupted while a mirror was asked");
    }
    try {
      pinned = origin.pinned();
      if (pinned != null) {
        return pinned;
      }
      Generation found = new Probe(origin, config, attempt, deadline).run();
      boolean same =
          config.mirrorsBySize() ? found.size() == reference.size() : found.sameImage(reference);
      if (!same) {
        throw new AttemptFailure(
            Kind.CHANGED, "not a mirror: it has " + found + ", the image is " + reference);
      }
      origin.pin(found);
      return found;
    } finally {
      probing.unlock();
    }
  }

  /**
   * Leaves one out after it refused or had another image.
   *
   * @param refused those that refused the present read, this one among them
   * @return whether there is another that may still give the bytes, even if it is down just now
   */
  boolean leaveOut(Origin origin, AttemptFailure failure, Set<Origin> refused) {
    if (single()) {
      return false;
    }
    boolean forGood = failure.kind() == Kind.CHANGED || failure.kind() == Kind.NO_RANGES;
    if (forGood) {
      origin.leaveOut();
    } else {
      origin.passOver(PASSED_OVER_NANOS);
    }
    LOG.log(
        System.Logger.Level.WARNING,
        () ->
            origin.shown()
                + (forGood ? " is not asked any more" : " is asked last")
                + ": "
                + failure.what());
    return all.stream().anyMatch(other -> !other.leftOut() && !refused.contains(other));
  }

  /** Makes all waiting readers look whether they are still wanted. */
  void wake() {
    all.forEach(origin -> origin.circuit().wake());
  }
}
