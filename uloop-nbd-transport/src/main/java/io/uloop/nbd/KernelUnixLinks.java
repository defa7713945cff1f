/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.time.Duration;

/**
 * Links over a server's unix socket.
 *
 * @param calls the C library
 * @param socketPath where the server listens
 * @param exportName which export, empty for the default one
 */
record KernelUnixLinks(NativeCalls calls, String socketPath, String exportName)
    implements KernelLinks {

  /** The server is in this JVM or next to it; a handshake that takes longer never ends. */
  private static final Duration HANDSHAKE_TIMEOUT = Duration.ofSeconds(10);

  @Override
  public Link connect() throws IOException {
    UnixSocket socket = UnixSocket.connect(calls, socketPath, HANDSHAKE_TIMEOUT);
    try {
      KernelHandshake.Export export = KernelHandshake.go(socket, exportName);
      socket.timeouts(Duration.ZERO);
      return new Link(socket, export);
    } catch (IOException | RuntimeException e) {
      try {
        socket.close();
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      throw e;
    }
  }
}
