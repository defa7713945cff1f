/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * Tells systemd, if it started this process with {@code Type=notify}, how the service is doing.
 *
 * <p><b>Threads:</b> safe for any.
 *
 * <p><b>Source:</b> sd_notify(3).
 *
 * @since 0.1
 */
public final class SdNotify {

  private static final String NOTIFY_SOCKET = "NOTIFY_SOCKET";
  private static final int MSG_NOSIGNAL = 0x4000;

  private final Optional<String> address;

  private SdNotify(Optional<String> address) {
    this.address = address;
  }

  /**
   * Finds out where to.
   *
   * @return one that does nothing if nobody wants to know
   */
  public static SdNotify fromEnvironment() {
    return to(System.getenv(NOTIFY_SOCKET));
  }

  /**
   * Gives one for an address: a path, or {@code @name}; anything else, as sd_notify(3) says, is for
   * nobody.
   */
  static SdNotify to(@org.jspecify.annotations.Nullable String address) {
    return new SdNotify(
        Optional.ofNullable(address).filter(a -> a.startsWith("/") || a.startsWith("@")));
  }

  /**
   * Says that the service is up.
   *
   * @param status one line for humans
   * @throws IOException if systemd cannot be told
   */
  public void ready(String status) throws IOException {
    send("READY=1\nSTATUS=" + status);
  }

  /**
   * Says that the service goes down.
   *
   * @throws IOException if systemd cannot be told
   */
  public void stopping() throws IOException {
    send("STOPPING=1");
  }

  /**
   * Says something for humans.
   *
   * @param status one line
   * @throws IOException if systemd cannot be told
   */
  public void status(String status) throws IOException {
    send("STATUS=" + status);
  }

  private void send(String state) throws IOException {
    if (address.isEmpty()) {
      return;
    }
    String target = address.get();
    byte[] to = UnixSocketAddress.of(target);
    NativeCalls calls = NativeCalls.load();
    try (NativeFd socket =
        calls.socket(
            UnixSocketAddress.AF_UNIX, UnixSocket.SOCK_DGRAM | UnixSocket.SOCK_CLOEXEC, 0)) {
      calls.sendto(socket, state.getBytes(StandardCharsets.UTF_8), MSG_NOSIGNAL, to, target);
    }
  }
}
