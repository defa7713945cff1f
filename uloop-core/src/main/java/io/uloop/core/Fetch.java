/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One read of the source that is wanted or under way: blocks {@code [next, end)} still to land.
 *
 * <pre>
 *   QUEUED --taken by a worker--> RUNNING --last block landed, or failed--> ENDED
 *   QUEUED --cancelled (background, nobody waits)--> ENDED
 * </pre>
 *
 * All fields but {@link #abort} are guarded by the lock of the {@link FetchTable} that holds it.
 */
final class Fetch {

  enum State {
    QUEUED,
    RUNNING,
    ENDED
  }

  /** A reader's share: it waits for blocks {@code [from, to)}. */
  record Part(PendingRead read, long from, long to) {}

  /** The next block to land; what is before it has landed. */
  long next;

  long end;
  State state = State.QUEUED;

  /** Whether it was begun for nobody (read-ahead, fill) and nobody has joined it since. */
  boolean background;

  /** Whether it asks for what readers wait for and nothing beyond. */
  final boolean narrow;

  /**
   * Whether it is to stop where it is, unless somebody has come to wait for it or there is room for
   * demand by then.
   */
  boolean cancelled;

  List<Part> parts = new ArrayList<>();

  /** What stops the source's read at once; set by the source while it runs. */
  volatile @Nullable Runnable abort;

  Fetch(long from, long end, boolean background, boolean narrow) {
    this.next = from;
    this.end = end;
    this.background = background;
    this.narrow = narrow;
  }

  long blocks() {
    return end - next;
  }

  @Override
  public String toString() {
    return "Fetch[" + next + ", " + end + ") " + state + (background ? " background" : "");
  }
}
