/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

/**
 * What to do with a pair that was made from something else than the source at hand.
 *
 * @since 0.1
 */
public enum WhenDifferent {
  /** Refuse to open, say what differs and touch nothing. */
  FAIL,
  /** Drop what the files hold, whatever that is, and begin anew. */
  RECREATE
}
