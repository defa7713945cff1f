/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Tells whether bytes are all zero.
 *
 * <p>By comparing them with zeroes: for that the JVM has machine code of its own from the first
 * compiler on. A loop here would be slow in the first seconds of a process, and these are all that
 * many a cold copy takes. Direct buffers are compared by way of an array, as comparing them as
 * buffers ({@link ByteBuffer#mismatch}) is compiled, thrown away and interpreted again and again by
 * a JVM whose second compiler knows little yet: a copy took eight seconds in place of two.
 *
 * <p><b>Threads:</b> one.
 */
final class Zeroes {

  /** How much is compared at once: stays in the processor's innermost cache. */
  private static final int STEP_BYTES = 4 << 10;

  private static final byte[] SOME = new byte[STEP_BYTES];

  /** Made for the first direct buffer. */
  private byte @Nullable [] copy;

  /** Whether {@code length} bytes from an absolute index on are zero. */
  boolean only(ByteBuffer bytes, int index, int length) {
    if (length == 0) {
      return true;
    }
    // Most blocks that are not zero differ in their first byte or their last.
    if (bytes.get(index) != 0 || bytes.get(index + length - 1) != 0) {
      return false;
    }
    for (int done = 0; done < length; ) {
      int n = Math.min(STEP_BYTES, length - done);
      if (!same(bytes, index + done, n)) {
        return false;
      }
      done += n;
    }
    return true;
  }

  private boolean same(ByteBuffer bytes, int index, int length) {
    if (bytes.hasArray()) {
      int from = bytes.arrayOffset() + index;
      return Arrays.equals(bytes.array(), from, from + length, SOME, 0, length);
    }
    byte[] array = copy;
    if (array == null) {
      array = new byte[STEP_BYTES];
      copy = array;
    }
    bytes.get(index, array, 0, length);
    return Arrays.equals(array, 0, length, SOME, 0, length);
  }
}
