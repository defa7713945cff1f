/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;

/** Where a device's links come from: connections to our server, ready for the kernel. */
interface KernelLinks {

  /** What a link leads to, and the socket, which the caller closes. */
  record Link(UnixSocket socket, KernelHandshake.Export export) implements AutoCloseable {
    @Override
    public void close() throws IOException {
      socket.close();
    }
  }

  /**
   * Makes a link in the transmission phase, without timeouts of its own.
   *
   * <p>The kernel uses the socket's receive timeout as it is: one left over from the handshake
   * would cut an idle device off.
   */
  Link connect() throws IOException;
}
