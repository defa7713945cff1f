/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import org.jspecify.annotations.Nullable;

/**
 * The bytes to and from one client, never blocking: the socket itself, or TLS over it.
 *
 * <p><b>Threads:</b> the connection's loop only.
 */
interface Link {

  /**
   * Reads what there is.
   *
   * @return how many bytes, 0 if none are there now, -1 at the end of the stream
   */
  int read(ByteBuffer dst) throws IOException;

  /**
   * Writes what goes out now; the positions tell how much that was.
   *
   * @param count how many of the buffers
   */
  void write(ByteBuffer[] srcs, int count) throws IOException;

  /** Sends what an earlier write left inside; tells whether nothing is left. */
  boolean flush() throws IOException;

  /** Gives the channel to which bytes may go without passing through the JVM, if there is one. */
  @Nullable WritableByteChannel direct();

  /** Says that nothing more will be written. */
  void endOutput() throws IOException;

  /** Tells whether another thread is at work, so that neither read nor write makes sense. */
  default boolean busy() {
    return false;
  }

  /** Tells whether there may be something to read of which the socket knows no more. */
  default boolean holdsInput() {
    return false;
  }

  /** Gives back what is held; nothing is called afterwards. */
  default void release() {}
}
