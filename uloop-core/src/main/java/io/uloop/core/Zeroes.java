/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.nio.ByteBuffer;

/** Tells whether bytes are all zero. */
final class Zeroes {

  private Zeroes() {}

  /** Whether {@code length} bytes from an absolute index on are zero. */
  static boolean only(ByteBuffer bytes, int index, int length) {
    int end = index + length;
    int at = index;
    // Most blocks that are not zero differ in their first word, so no vector tricks are needed.
    for (; at + Long.BYTES <= end; at += Long.BYTES) {
      if (bytes.getLong(at) != 0) {
        return false;
      }
    }
    for (; at < end; at++) {
      if (bytes.get(at) != 0) {
        return false;
      }
    }
    return true;
  }
}
