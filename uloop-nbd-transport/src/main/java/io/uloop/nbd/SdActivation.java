/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.channels.Channel;
import java.nio.channels.ServerSocketChannel;
import java.util.Map;
import java.util.Optional;

/**
 * Takes over the listening socket that systemd opened for this service.
 *
 * <p>The JDK makes a channel of an inherited descriptor only if it is number 0. So systemd's first
 * one, number 3, is put there; standard input is lost with that. One socket is taken, no more.
 *
 * <p><b>Threads:</b> for the first lines of a program, once.
 *
 * <p><b>Source:</b> sd_listen_fds(3), {@link System#inheritedChannel}.
 *
 * @since 0.1
 */
public final class SdActivation {

  private static final int FIRST = 3;
  private static final int STANDARD_INPUT = 0;

  private SdActivation() {}

  /**
   * Gives the socket, which the caller closes.
   *
   * @return empty if this process was not started by a socket
   * @throws IOException if it was, but with more than one socket, or none that listens
   */
  public static Optional<ServerSocketChannel> listener() throws IOException {
    int count = descriptors(System.getenv(), ProcessHandle.current().pid());
    if (count == 0) {
      return Optional.empty();
    }
    if (count > 1) {
      throw new IOException("systemd passes " + count + " sockets; this service takes one");
    }
    NativeCalls calls = NativeCalls.load();
    calls.dup2(FIRST, STANDARD_INPUT);
    Channel channel = System.inheritedChannel();
    if (channel instanceof ServerSocketChannel server) {
      return Optional.of(server);
    }
    throw new IOException("systemd passes a descriptor that is no listening socket: " + channel);
  }

  /**
   * Tells how many descriptors are for the process of this number; 0 if they are for another. Their
   * names (LISTEN_FDNAMES) do not matter, as there can be only one.
   */
  static int descriptors(Map<String, String> environment, long pid) throws IOException {
    if (!environment.getOrDefault("LISTEN_PID", "").equals(Long.toString(pid))) {
      return 0;
    }
    String count = environment.getOrDefault("LISTEN_FDS", "0");
    if (!count.matches("[0-9]{1,5}")) {
      throw new IOException("LISTEN_FDS is no number: " + count);
    }
    return Integer.parseInt(count);
  }

  /** Tells, for an error, whom the descriptors in the environment are for. */
  static String addressee(Map<String, String> environment, long pid) {
    String other = environment.get("LISTEN_PID");
    return other == null ? "" : ": LISTEN_PID is " + other + ", this process is " + pid;
  }
}
