/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;

/** Where netlink messages go to and come from; the kernel, or a test. */
interface NetlinkChannel extends Closeable {

  /** Sends one datagram. */
  void send(byte[] datagram) throws IOException;

  /**
   * Receives one datagram, waiting for it.
   *
   * @return how many bytes of the buffer it filled
   */
  int receive(byte[] buffer) throws IOException;

  /** Waits until there is a datagram; {@code false} after the time is over. */
  boolean await(int timeoutMillis) throws IOException;

  /** Subscribes to a multicast group. */
  void join(int group) throws IOException;
}
