/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.io.IOException;
import java.util.concurrent.locks.LockSupport;

/**
 * The probe of an origin at open, with a few tries.
 *
 * <p>What cannot be reached is said soon: a wrong port should not cost a whole timeout.
 */
final class Opening {

  private static final int TRIES = 3;

  private final Origin origin;
  private final HttpSourceConfig config;
  private final Watchdog watchdog;

  Opening(Origin origin, HttpSourceConfig config, Watchdog watchdog) {
    this.origin = origin;
    this.config = config;
    this.watchdog = watchdog;
  }

  Generation probe() throws IOException {
    long deadline = System.nanoTime() + config.timeout().toNanos();
    boolean renewed = false;
    for (int tries = 1; ; tries++) {
      Attempt attempt = new Attempt(deadline);
      int renewals = origin.renewals();
      watchdog.add(attempt);
      try {
        return new Probe(origin, config, attempt, deadline).run();
      } catch (AttemptFailure e) {
        boolean renew =
            (e.kind() == Kind.UNAUTHORIZED || e.kind() == Kind.GONE)
                && !renewed
                && origin.renewCredentials(renewals);
        renewed |= renew;
        boolean again =
            (e.kind() == Kind.UNREACHABLE || e.kind() == Kind.BROKEN)
                && tries < TRIES
                && deadline - System.nanoTime() > 0;
        if (!again && !renew) {
          throw e.toUloopException("open " + origin.shown());
        }
      } finally {
        watchdog.remove(attempt);
      }
      LockSupport.parkNanos(this, origin.circuit().backoff(tries - 1));
    }
  }
}
