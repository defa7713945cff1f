/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.UloopException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The text for a human that goes with an error, as far as it is fit for a stranger. */
final class ErrorText {

  /** Far below the 4096 that the protocol allows, so that an answer stays small. */
  private static final int MAX_BYTES = 400;

  private ErrorText() {}

  /** Gives the message of a known failure, which names no credentials; nothing of others. */
  static byte[] of(Throwable failure) {
    String message = failure.getMessage();
    if (!(failure instanceof UloopException) || message == null) {
      return new byte[0];
    }
    byte[] bytes = message.getBytes(StandardCharsets.UTF_8);
    if (bytes.length <= MAX_BYTES) {
      return bytes;
    }
    int end = MAX_BYTES;
    while ((bytes[end] & 0xc0) == 0x80) {
      end--; // Not in the middle of a character.
    }
    return Arrays.copyOf(bytes, end);
  }
}
