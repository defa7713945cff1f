/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.HashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Decides after each failure of a read whether, when and of whom it asks again.
 *
 * <pre>
 *   UNREACHABLE        back off, try again until the deadline
 *   BROKEN             try again, at once if the last request brought something
 *   PROTOCOL NO_RANGES back off, try again, at most 3 times without progress
 *      (all of these: from the first URL if nothing comes from where it led)
 *   PRECONDITION       try again without precondition, so that the answer shows what it is
 *   UNAUTHORIZED       try again once with new credentials, or from the first URL
 *   GONE               try again once from the first URL, or with new credentials
 *   REFUSED            try again once from the first URL, then of a mirror only
 *   CHANGED            try again of a mirror only
 * </pre>
 *
 * <p><b>Threads:</b> the reading one.
 */
final class Retries {

  // Progress of at least this much makes a broken body no reason to wait.
  private static final long GOOD_PROGRESS_BYTES = 16 * 1024;
  private static final int MOST_PROTOCOL_FAILURES = 3;

  private final Origins origins;
  private final long deadline;
  private final Set<Origin> refused = new HashSet<>(2);
  private int protocolFailures;
  private int backoffs;
  private boolean renewed;
  private int renewalsSeen;
  private boolean relocated;
  private long notBefore = System.nanoTime();
  private @Nullable Origin avoid;
  private @Nullable Place asked;

  Retries(Origins origins, long deadline) {
    this.origins = origins;
    this.deadline = deadline;
  }

  /** Gives whom to ask next. */
  Origin choose() {
    return origins.choose(avoid, refused);
  }

  /** Gives until when to wait before asking, on the clock of System.nanoTime. */
  long notBefore() {
    return notBefore;
  }

  /** Says that an origin is asked now, with the credentials that it has now. */
  void asking(Origin origin) {
    renewalsSeen = origin.renewals();
    asked = origin.place();
  }

  /** Says that bytes came from an origin. */
  void progressed(Origin origin) {
    protocolFailures = 0;
    origin.broughtBytes();
  }

  /** Decides whether to ask again after a failure of a request that brought so many bytes. */
  boolean again(Origin origin, AttemptFailure failure, long progress) {
    if (progress > 0) {
      progressed(origin);
    }
    Place place = asked != null ? asked : origin.place();
    return switch (failure.kind()) {
      case UNREACHABLE -> backOff(origin, place, progress);
      case BROKEN -> progress >= GOOD_PROGRESS_BYTES || backOff(origin, place, progress);
      case PROTOCOL ->
          ++protocolFailures < MOST_PROTOCOL_FAILURES && backOff(origin, place, progress);
      case NO_RANGES ->
          (++protocolFailures < MOST_PROTOCOL_FAILURES && backOff(origin, place, progress))
              || leaveOut(origin, failure);
      case PRECONDITION -> {
        origin.dropPreconditions();
        yield ++protocolFailures < MOST_PROTOCOL_FAILURES;
      }
      case UNAUTHORIZED ->
          renew(origin) || relocate(origin) || origin.goBack(place) || leaveOut(origin, failure);
      case GONE ->
          relocate(origin) || renew(origin) || origin.goBack(place) || leaveOut(origin, failure);
      case REFUSED -> relocate(origin) || origin.goBack(place) || leaveOut(origin, failure);
      case CHANGED -> leaveOut(origin, failure);
    };
  }

  private boolean backOff(Origin origin, Place place, long progress) {
    if (progress == 0) {
      origin.broughtNothing(place);
    }
    avoid = origin;
    // A mirror that is well need not wait for one that is not.
    notBefore =
        origins.otherThan(origin) != null
            ? System.nanoTime()
            : System.nanoTime() + origin.circuit().backoff(backoffs++);
    return true;
  }

  private boolean leaveOut(Origin origin, AttemptFailure failure) {
    avoid = origin;
    relocated = false;
    renewed = false;
    protocolFailures = 0;
    refused.add(origin);
    return origins.leaveOut(origin, failure, refused);
  }

  private boolean relocate(Origin origin) {
    if (relocated) {
      return false;
    }
    relocated = true;
    return origin.forgetRedirects();
  }

  private boolean renew(Origin origin) {
    if (renewed) {
      return false;
    }
    renewed = true;
    return origin.renewCredentials(renewalsSeen, deadline);
  }
}
