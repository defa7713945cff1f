/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * Tells whether bytes are all zero.
 *
 * <p>By comparing them with zeroes: for that the JVM has machine code of its own from the first
 * compiler on. A loop here would be slow in the first seconds of a process, and these are all that
 * many a cold copy takes.
 */
final class Zeroes {

  private static final byte[] SOME = new byte[16 << 10];
  private static final ByteBuffer SOME_BUFFER = ByteBuffer.wrap(SOME).asReadOnlyBuffer();

  private Zeroes() {}

  /** Whether {@code length} bytes from an absolute index on are zero. */
  static boolean only(ByteBuffer bytes, int index, int length) {
    if (length == 0) {
      return true;
    }
    // Most blocks that are not zero differ in their first byte or their last.
    if (bytes.get(index) != 0 || bytes.get(index + length - 1) != 0) {
      return false;
    }
    for (int done = 0; done < length; ) {
      int n = Math.min(SOME.length, length - done);
      if (!same(bytes, index + done, n)) {
        return false;
      }
      done += n;
    }
    return true;
  }

  private static boolean same(ByteBuffer bytes, int index, int length) {
    if (bytes.hasArray()) {
      int from = bytes.arrayOffset() + index;
      return Arrays.equals(bytes.array(), from, from + length, SOME, 0, length);
    }
    return bytes.slice(index, length).mismatch(SOME_BUFFER.slice(0, length)) < 0;
  }
}
