/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Takes the bytes of one streamed read, in order, as they arrive.
 *
 * <p>It belongs to that read: when the read has returned or thrown, what a thread of the source
 * still gives it is refused, and goes nowhere.
 *
 * <p><b>Threads:</b> {@link #accept} is called by one thread at a time, the one that runs the read
 * or one that it started. The action given to {@link #onCancel} may run on any thread.
 *
 * @since 0.1
 */
@FunctionalInterface
public interface ReadSink {

  /**
   * Takes the next bytes of the range.
   *
   * <p><b>Ownership:</b> the buffer, heap or direct, is lent for the call; everything between
   * position and limit is consumed and the position moved to the limit. Pieces of 64 KiB or more
   * are taken most cheaply; any size but zero is right.
   *
   * @param piece the next bytes
   * @throws IOException if the reader wants no more, or the read has ended; the source must end the
   *     read at once and throw the same exception
   */
  void accept(ByteBuffer piece) throws IOException;

  /**
   * Names an action that aborts the read when nobody wants it any more.
   *
   * <p>The source calls this at most a few times per read (one attempt, one connection); the newest
   * action replaces the older. It runs at most once, possibly before this method returns or when
   * the read has just ended, and must not block; the read then throws any {@link IOException}. A
   * device runs it when it is closed.
   *
   * @param abort the action
   */
  default void onCancel(Runnable abort) {}
}
