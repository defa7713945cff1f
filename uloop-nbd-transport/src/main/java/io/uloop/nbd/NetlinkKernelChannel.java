/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * A generic netlink socket.
 *
 * <p><b>Source:</b> netlink(7).
 */
final class NetlinkKernelChannel implements NetlinkChannel {

  /** {@code struct sockaddr_nl}: u16 family, u16 padding, u32 port, u32 groups. */
  static final int SOCKADDR_NL_BYTES = 12;

  private static final int AF_NETLINK = 16;
  private static final int SOCK_RAW = 3;
  private static final int NETLINK_GENERIC = 16;
  private static final int SOL_NETLINK = 270;
  private static final int NETLINK_ADD_MEMBERSHIP = 1;
  private static final int NETLINK_CAP_ACK = 10;
  private static final int NETLINK_EXT_ACK = 11;

  private final NativeCalls calls;
  private final NativeFd fd;

  private NetlinkKernelChannel(NativeCalls calls, NativeFd fd) {
    this.calls = calls;
    this.fd = fd;
  }

  /** Opens one; the kernel chooses its port. */
  static NetlinkKernelChannel open(NativeCalls calls) throws IOException {
    NativeFd fd = calls.socket(AF_NETLINK, SOCK_RAW | UnixSocket.SOCK_CLOEXEC, NETLINK_GENERIC);
    try {
      ByteBuffer address = ByteBuffer.allocate(SOCKADDR_NL_BYTES).order(ByteOrder.nativeOrder());
      calls.bind(fd, address.putShort((short) AF_NETLINK).array());
      // Errors as text (Linux 4.12), and without our own message in them.
      calls.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, one());
      calls.setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, one());
      return new NetlinkKernelChannel(calls, fd);
    } catch (IOException e) {
      try {
        fd.close();
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      throw e;
    }
  }

  @Override
  public void send(byte[] datagram) throws IOException {
    calls.send(fd, datagram, 0);
  }

  @Override
  public int receive(byte[] buffer) throws IOException {
    return calls.recv(fd, buffer, 0);
  }

  @Override
  public boolean await(int timeoutMillis) throws IOException {
    return calls.pollIn(fd, timeoutMillis);
  }

  @Override
  public void join(int group) throws IOException {
    calls.setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, number(group));
  }

  @Override
  public void close() throws IOException {
    fd.close();
  }

  private static byte[] one() {
    return number(1);
  }

  private static byte[] number(int value) {
    return ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(value).array();
  }
}
