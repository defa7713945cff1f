/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.UloopException;
import io.uloop.http.AttemptFailure.Kind;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/**
 * Finds out at open what the image is, from the first URL in order that gives it.
 *
 * <p>Up to three rounds, in each of which every URL is asked that was not refused for good before.
 * What cannot be reached is said soon (a wrong port should not cost a whole timeout); what does not
 * answer at all takes its share of the time that is left, so that the others have theirs.
 *
 * <p><b>Threads:</b> the one that opens.
 */
final class Opening {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  private static final int ROUNDS = 3;

  private final List<Origin> all;
  private final HttpSettings config;
  private final Watchdog watchdog;
  private final long deadline;
  private final Map<Origin, AttemptFailure> failures = new LinkedHashMap<>();

  Opening(List<Origin> all, HttpSettings config, Watchdog watchdog) {
    this.all = all;
    this.config = config;
    this.watchdog = watchdog;
    this.deadline = System.nanoTime() + config.timeoutNanos();
  }

  /**
   * Asks.
   *
   * @return what the image is; the URL that said so is pinned to it, those before it come last
   * @throws UloopException if no URL gives it; the message has the cause of each
   */
  Generation run() throws UloopException, InterruptedIOException {
    List<Origin> hopeful = new ArrayList<>(all);
    for (int round = 0; round < ROUNDS; round++) {
      int toAsk = hopeful.size();
      for (Iterator<Origin> each = hopeful.iterator(); each.hasNext(); toAsk--) {
        Origin origin = each.next();
        long now = System.nanoTime();
        try {
          Generation generation = ask(origin, now + Math.max(0, deadline - now) / toAsk);
          origin.pin(generation);
          settle();
          return generation;
        } catch (AttemptFailure e) {
          failures.put(origin, e);
          if (e.kind() != Kind.UNREACHABLE && e.kind() != Kind.BROKEN) {
            each.remove();
          }
        }
      }
      if (hopeful.isEmpty() || round + 1 == ROUNDS) {
        break;
      }
      long pause = pause(hopeful, round);
      if (deadline - System.nanoTime() <= pause) {
        break;
      }
      LockSupport.parkNanos(this, pause);
    }
    throw failure();
  }

  // A server that names a time is asked again then, unless another may be asked before.
  private long pause(List<Origin> hopeful, int round) {
    long named = Long.MAX_VALUE;
    for (Origin origin : hopeful) {
      AttemptFailure failure = failures.get(origin);
      named = Math.min(named, failure == null ? 0 : failure.retryAfter().toNanos());
    }
    return Math.max(named, hopeful.get(0).circuit().backoff(round));
  }

  private Generation ask(Origin origin, long until) throws AttemptFailure, InterruptedIOException {
    // Where the last round's redirects led may be what failed.
    origin.forgetRedirects();
    for (boolean renewed = false; ; renewed = true) {
      Attempt attempt = new Attempt(until);
      int renewals = origin.renewals();
      watchdog.add(attempt);
      try {
        return new Probe(origin, config, attempt, until).run();
      } catch (AttemptFailure e) {
        boolean refused = e.kind() == Kind.UNAUTHORIZED || e.kind() == Kind.GONE;
        if (renewed || !refused || !origin.renewCredentials(renewals, until)) {
          throw e;
        }
      } finally {
        watchdog.remove(attempt);
      }
    }
  }

  // One that was down or refused just now need not be met by the first reads.
  private void settle() {
    failures.forEach(
        (origin, failure) -> {
          if (origin.pinned() != null) {
            return;
          }
          if (failure.kind() == Kind.NO_RANGES) {
            origin.leaveOut();
          } else {
            origin.passOver(Origins.PASSED_OVER_NANOS);
          }
          LOG.log(
              System.Logger.Level.WARNING,
              () -> origin.shown() + ": " + failure.what() + "; a mirror is read");
        });
  }

  private UloopException failure() {
    AttemptFailure first = failures.values().iterator().next();
    if (all.size() == 1) {
      return first.toUloopException("open " + all.get(0).shown());
    }
    AttemptFailure telling = first;
    StringBuilder causes = new StringBuilder("none of " + all.size() + " URLs gives the image");
    String separator = ": ";
    for (Map.Entry<Origin, AttemptFailure> each : failures.entrySet()) {
      causes.append(separator).append(each.getKey().shown());
      causes.append(": ").append(each.getValue().what());
      separator = "; ";
      // One that may be up later is a reason to try again; all refused is none.
      if (each.getValue().kind() == Kind.UNREACHABLE) {
        telling = each.getValue();
      }
    }
    return new AttemptFailure(telling.kind(), causes.toString(), telling.getCause())
        .toUloopException("open");
  }
}
