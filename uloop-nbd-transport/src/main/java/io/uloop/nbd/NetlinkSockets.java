/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;

/**
 * Our descriptors of the links that the kernel has.
 *
 * <p>The kernel holds references of its own. We keep ours since it shuts a link down when it gives
 * it up, which is to be seen here and nowhere else.
 *
 * <p><b>Threads:</b> safe for any; the lock is this object.
 */
final class NetlinkSockets implements Closeable {

  private final List<UnixSocket> sockets = new ArrayList<>();

  /** Takes a socket over, and lets those go that are cut. */
  synchronized void add(UnixSocket socket) throws IOException {
    sockets.add(socket);
    for (Iterator<UnixSocket> each = sockets.iterator(); each.hasNext(); ) {
      UnixSocket old = each.next();
      if (old != socket && old.isCut()) {
        each.remove();
        old.close();
      }
    }
  }

  synchronized int count() {
    return sockets.size();
  }

  synchronized List<Integer> numbers() {
    return sockets.stream().map(UnixSocket::number).toList();
  }

  /** Tells whether no link is left; if we have none, there is nothing to tell it by. */
  synchronized boolean allCut() throws IOException {
    if (sockets.isEmpty()) {
      return false;
    }
    for (UnixSocket socket : sockets) {
      if (!socket.isCut()) {
        return false;
      }
    }
    return true;
  }

  @Override
  public synchronized void close() throws IOException {
    for (UnixSocket socket : sockets) {
      socket.close();
    }
    sockets.clear();
  }
}
