/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import org.jspecify.annotations.Nullable;

/**
 * A request that was started and not answered yet; linked into {@link InFlight}'s list.
 *
 * <p><b>Threads:</b> the links and {@link #abandon} belong to the connection's loop.
 */
abstract class Request {

  @Nullable Request next;
  @Nullable Request previous;

  /** Whether it is in the list. */
  boolean counted;

  /** Answers with ESHUTDOWN at once if that is still possible; the true end is then dropped. */
  abstract void abandon();
}
