/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.ReadCompletion;
import org.jspecify.annotations.Nullable;

/**
 * A large piece of a READ that the device fetches, without a buffer of ours; when it has come it is
 * sent from where it is.
 */
final class Fetching implements ReadCompletion, Runnable {

  final long offset;
  final int length;
  private final ReadPlan plan;
  private final EventLoop loop;

  /** Whether the plan was told the end; the loop's. */
  private boolean over;

  /** Written by the device before {@link EventLoop#execute}, read after it. */
  private @Nullable Throwable failure;

  Fetching(ReadPlan plan, EventLoop loop, long offset, int length) {
    this.plan = plan;
    this.loop = loop;
    this.offset = offset;
    this.length = length;
  }

  /** Begins; false, with nothing done, if the device rather fills a buffer. */
  boolean start(BlockDevice device) {
    try {
      return device.fetchAsync(offset, length, this);
    } catch (RuntimeException e) {
      done(e); // It should have told the completion.
      return true;
    } catch (Error e) {
      over = true; // The caller gives back what is charged; the completion may still come.
      throw e;
    }
  }

  @Override
  public void done(@Nullable Throwable outcome) {
    failure = outcome;
    loop.execute(this);
  }

  /** Takes the end over, on the loop. */
  @Override
  public void run() {
    if (!over) {
      over = true;
      plan.fetched(this, failure);
    }
  }
}
