/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.ReadCompletion;
import org.jspecify.annotations.Nullable;

/**
 * A part of a READ that the device completes later; the plan is told of the end once, on the loop,
 * however often the device tells it.
 */
abstract class Piece implements ReadCompletion, Runnable {

  final long offset;
  final int length;
  private final ReadPlan plan;
  private final EventLoop loop;

  /** Whether there is nothing more to tell; the loop's. */
  private boolean over;

  /** Written by the device before {@link EventLoop#execute}, read after it. */
  private @Nullable Throwable failure;

  Piece(ReadPlan plan, EventLoop loop, long offset, int length) {
    this.plan = plan;
    this.loop = loop;
    this.offset = offset;
    this.length = length;
  }

  /** Has the plan told nothing, as it knows already. */
  final void forget() {
    over = true;
  }

  @Override
  public final void done(@Nullable Throwable outcome) {
    failure = outcome;
    loop.execute(this);
  }

  /** Takes the end over, on the loop. */
  @Override
  public final void run() {
    if (!over) {
      over = true;
      plan.came(this, failure);
    }
  }
}
