/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A netlink message, as bytes and taken apart.
 *
 * <pre>
 *   0  u32 length, header included        16  u8  command   (generic netlink header)
 *   4  u16 type                           17  u8  version
 *   6  u16 flags                          18  u16 reserved
 *   8  u32 sequence                       20  attributes
 *  12  u32 port of the sender
 * </pre>
 *
 * <p><b>Source:</b> netlink(7), and the kernel's include/uapi/linux/genetlink.h.
 *
 * @param type the message type: a control message, or the id of a generic family
 * @param flags see netlink(7)
 * @param sequence the number that a reply repeats
 * @param payload what follows the header, in the machine's byte order
 */
record NetlinkMessage(int type, int flags, int sequence, ByteBuffer payload) {

  static final int HEADER_BYTES = 16;
  static final int GENERIC_HEADER_BYTES = 4;

  static final int FLAG_REQUEST = 0x1;
  static final int FLAG_ACK = 0x4;

  static final int TYPE_ERROR = 0x2;
  static final int TYPE_DONE = 0x3;

  /** The message answered follows in the error only up to its header. */
  private static final int FLAG_CAPPED = 0x100;

  private static final int FLAG_ACK_TLVS = 0x200;
  private static final int NLMSGERR_ATTR_MSG = 1;

  /** Makes the bytes of a request to a generic family, with an acknowledgement asked for. */
  static byte[] request(int family, int sequence, int command, int version, byte[] attributes) {
    int length = HEADER_BYTES + GENERIC_HEADER_BYTES + attributes.length;
    return ByteBuffer.allocate(length)
        .order(ByteOrder.nativeOrder())
        .putInt(length)
        .putShort((short) family)
        .putShort((short) (FLAG_REQUEST | FLAG_ACK))
        .putInt(sequence)
        .putInt(0)
        .put((byte) command)
        .put((byte) version)
        .putShort((short) 0)
        .put(attributes)
        .array();
  }

  /**
   * Takes a datagram apart; it holds one message or more. They are copies, so the buffer may be
   * used again.
   *
   * @throws ProtocolException if a length does not fit
   */
  static List<NetlinkMessage> parse(byte[] datagram, int length) throws ProtocolException {
    ByteBuffer rest =
        ByteBuffer.wrap(Arrays.copyOf(datagram, length)).order(ByteOrder.nativeOrder());
    List<NetlinkMessage> messages = new ArrayList<>();
    while (rest.remaining() >= HEADER_BYTES) {
      int at = rest.position();
      int bytes = rest.getInt(at);
      if (bytes < HEADER_BYTES || bytes > rest.remaining()) {
        throw new ProtocolException(
            "netlink message of " + bytes + " bytes in " + rest.remaining());
      }
      messages.add(
          new NetlinkMessage(
              Short.toUnsignedInt(rest.getShort(at + 4)),
              Short.toUnsignedInt(rest.getShort(at + 6)),
              rest.getInt(at + 8),
              rest.slice(at + HEADER_BYTES, bytes - HEADER_BYTES).order(ByteOrder.nativeOrder())));
      rest.position(Math.min(rest.limit(), at + NetlinkAttributes.aligned(bytes)));
    }
    return messages;
  }

  /**
   * Gives the error number of an error message.
   *
   * @return a positive errno, or 0 for an acknowledgement
   * @throws ProtocolException if it is too short
   */
  int errno() throws ProtocolException {
    need(4);
    return -payload.getInt(0);
  }

  /** Gives the kernel's own words for an error, empty if it sent none. */
  String errorText() throws ProtocolException {
    if ((flags & FLAG_ACK_TLVS) == 0) {
      return "";
    }
    need(4 + HEADER_BYTES);
    int echoed = (flags & FLAG_CAPPED) != 0 ? HEADER_BYTES : payload.getInt(4);
    int start = 4 + NetlinkAttributes.aligned(echoed);
    if (echoed < HEADER_BYTES || start > payload.limit()) {
      throw new ProtocolException("netlink error echoes " + echoed + " bytes");
    }
    ByteBuffer rest = payload.slice(start, payload.limit() - start);
    return NetlinkAttributes.parse(rest)
        .find(NLMSGERR_ATTR_MSG)
        .map(NetlinkAttributes::text)
        .orElse("");
  }

  /** Gives the command of a generic message. */
  int command() throws ProtocolException {
    need(GENERIC_HEADER_BYTES);
    return Byte.toUnsignedInt(payload.get(0));
  }

  /** Gives the attributes of a generic message. */
  NetlinkAttributes attributes() throws ProtocolException {
    need(GENERIC_HEADER_BYTES);
    return NetlinkAttributes.parse(
        payload.slice(GENERIC_HEADER_BYTES, payload.limit() - GENERIC_HEADER_BYTES));
  }

  private void need(int bytes) throws ProtocolException {
    if (payload.limit() < bytes) {
      throw new ProtocolException(
          "netlink message of type " + type + " has " + payload.limit() + " bytes only");
    }
  }
}
