/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;

/**
 * A large piece of a READ that the device fetches, without a buffer of ours; when it has come it is
 * sent from where it is.
 */
final class Fetching extends Piece {

  Fetching(ReadPlan plan, EventLoop loop, long offset, int length) {
    super(plan, loop, offset, length);
  }

  /** Begins; false, with nothing done, if the device rather fills a buffer. */
  boolean start(BlockDevice device) {
    try {
      return device.fetchAsync(offset, length, this);
    } catch (RuntimeException e) {
      done(e); // It should have told the completion.
      return true;
    } catch (Error e) {
      forget(); // The caller gives back what is charged; the completion may still come.
      throw e;
    }
  }
}
