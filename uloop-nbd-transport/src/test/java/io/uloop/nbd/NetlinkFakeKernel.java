/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** The other end of a netlink socket: knows the family nbd, and answers what it was told to. */
final class NetlinkFakeKernel implements NetlinkChannel {

  static final int FAMILY_ID = 0x1c;
  static final int GROUP_ID = 9;

  final List<NetlinkMessage> requests = new ArrayList<>();
  final List<Integer> joined = new ArrayList<>();
  boolean hasFamily = true;
  boolean closed;

  /** What the next request of the family is answered with, before its acknowledgement. */
  byte[] answer = new byte[0];

  int answerCommand;
  int errno;

  private final Deque<byte[]> queue = new ArrayDeque<>();

  @Override
  public void send(byte[] datagram) throws IOException {
    NetlinkMessage request = NetlinkMessage.parse(datagram, datagram.length).get(0);
    // Some other request's answer comes first; it must be left out.
    queue.add(message(0x2, 0, request.sequence() + 1000, number(-5), new byte[16]));
    if (request.type() == NetlinkFamily.GENL_ID_CTRL) {
      if (hasFamily) {
        queue.add(
            message(
                NetlinkFamily.GENL_ID_CTRL,
                0,
                request.sequence(),
                new byte[] {1, 2, 0, 0},
                new NetlinkAttributes.Builder()
                    .u32(NetlinkFamily.CTRL_ATTR_FAMILY_ID, FAMILY_ID)
                    .nest(
                        NetlinkFamily.CTRL_ATTR_MCAST_GROUPS,
                        new NetlinkAttributes.Builder()
                            .nest(
                                1,
                                new NetlinkAttributes.Builder()
                                    .u32(NetlinkFamily.CTRL_ATTR_MCAST_GRP_ID, GROUP_ID)
                                    .text(
                                        NetlinkFamily.CTRL_ATTR_MCAST_GRP_NAME, NetlinkNbd.GROUP)))
                    .build()));
      }
      acknowledge(request, hasFamily ? 0 : NativeException.ENOENT);
      return;
    }
    requests.add(request);
    if (answer.length > 0) {
      queue.add(
          message(
              FAMILY_ID,
              0,
              request.sequence(),
              new byte[] {(byte) answerCommand, 1, 0, 0},
              answer));
    }
    acknowledge(request, errno);
  }

  /** Has the kernel say something by itself. */
  void announce(int command, byte[] attributes) {
    queue.add(message(FAMILY_ID, 0, 0, new byte[] {(byte) command, 1, 0, 0}, attributes));
  }

  private void acknowledge(NetlinkMessage request, int number) {
    queue.add(message(0x2, 0x100, request.sequence(), number(-number), new byte[16]));
  }

  @Override
  public int receive(byte[] buffer) {
    byte[] datagram = queue.remove();
    java.util.Arrays.fill(buffer, (byte) 0);
    System.arraycopy(datagram, 0, buffer, 0, datagram.length);
    return datagram.length;
  }

  @Override
  public boolean await(int timeoutMillis) {
    return !queue.isEmpty();
  }

  @Override
  public void join(int group) {
    joined.add(group);
    queue.clear();
  }

  @Override
  public void close() {
    closed = true;
  }

  private static byte[] number(int value) {
    return ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(value).array();
  }

  private static byte[] message(int type, int flags, int sequence, byte[] head, byte[] rest) {
    int length = 16 + head.length + rest.length;
    return ByteBuffer.allocate(length)
        .order(ByteOrder.nativeOrder())
        .putInt(length)
        .putShort((short) type)
        .putShort((short) flags)
        .putInt(sequence)
        .putInt(0)
        .put(head)
        .put(rest)
        .array();
  }
}
