/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheIoException;
import io.uloop.UloopException;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;

/** Gives failures of the cache's own files their message: file, step, place, cause. */
final class PairFailures {

  private PairFailures() {}

  /** A failure of one step on one file, as what a caller sees. */
  static IOException of(Path file, String step, IOException cause) {
    if (cause instanceof UloopException || cause instanceof ClosedChannelException) {
      return cause;
    }
    String why =
        cause instanceof AccessDeniedException
            ? "Permission denied"
            : cause instanceof FileSystemException f && f.getReason() != null
                ? f.getReason()
                : String.valueOf(cause.getMessage());
    return new CacheIoException(file + ": " + step + " failed: " + why, isFull(cause), cause);
  }

  /** Whether a failure says that the volume (or the user's share of it) is full. */
  static boolean isFull(IOException failure) {
    // The JDK has no error number to ask; these are strerror(3) of ENOSPC and EDQUOT.
    String message = String.valueOf(failure.getMessage());
    return message.contains("No space left on device")
        || message.contains("Disk quota exceeded")
        || message.contains("errno 28")
        || message.contains("errno 122");
  }

  /** A file's size; the failure names the file. */
  static long size(Storage.File file) throws IOException {
    try {
      return file.size();
    } catch (IOException e) {
      throw of(file.path(), "look at the size", e);
    }
  }
}
