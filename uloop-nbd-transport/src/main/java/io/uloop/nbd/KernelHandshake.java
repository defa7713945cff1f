/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * The client's half of the NBD handshake, up to the point where the kernel takes the socket over.
 *
 * <p>The kernel's driver knows the transmission phase only. It wants simple replies, so structured
 * ones are not negotiated; whatever else a server can do the kernel learns from the transmission
 * flags.
 *
 * <p><b>Source:</b> NetworkBlockDevice/nbd, doc/proto.md, "Fixed newstyle negotiation", "Option
 * types" (NBD_OPT_GO).
 */
final class KernelHandshake {

  static final int FLAG_READ_ONLY = 1 << 1;
  static final int FLAG_CAN_MULTI_CONN = 1 << 8;

  static final long NBDMAGIC = 0x4e42444d41474943L;
  static final long IHAVEOPT = 0x49484156454F5054L;
  static final long REPLY_MAGIC = 0x3e889045565a9L;
  static final int HANDSHAKE_FIXED_NEWSTYLE = 1;
  static final int HANDSHAKE_NO_ZEROES = 1 << 1;
  static final int OPT_GO = 7;
  static final int REP_ACK = 1;
  static final int REP_INFO = 3;
  static final int INFO_EXPORT = 0;
  static final int INFO_BLOCK_SIZE = 3;

  private static final int REP_ERROR = 1 << 31;
  private static final int OPTION_REPLY_BYTES = 20;

  /** No reply of this option is longer; a name or description is at most 4096 bytes. */
  private static final int MAXIMUM_REPLY_BYTES = 16 * 1024;

  private KernelHandshake() {}

  /**
   * What the server says of an export.
   *
   * @param size its size in bytes
   * @param flags the transmission flags
   * @param minimumBlockBytes the alignment that requests need, 1 if it said nothing
   */
  record Export(long size, int flags, int minimumBlockBytes) {

    boolean readOnly() {
      return (flags & FLAG_READ_ONLY) != 0;
    }

    boolean canMultiConn() {
      return (flags & FLAG_CAN_MULTI_CONN) != 0;
    }
  }

  /**
   * Negotiates; afterwards the socket is in the transmission phase, with no byte read too many.
   *
   * @param socket a fresh connection to a server
   * @param exportName the export's name, empty for the default one
   * @throws ProtocolException if the server is none, or refuses the export
   */
  static Export go(UnixSocket socket, String exportName) throws IOException {
    ByteBuffer greeting = socket.read(8 + 8 + 2);
    if (greeting.getLong() != NBDMAGIC || greeting.getLong() != IHAVEOPT) {
      throw new ProtocolException(socket + " is no newstyle NBD server");
    }
    int server = greeting.getShort();
    if ((server & HANDSHAKE_FIXED_NEWSTYLE) == 0) {
      throw new ProtocolException(socket + " does not speak fixed newstyle NBD");
    }
    byte[] name = exportName.getBytes(StandardCharsets.UTF_8);
    int optionBytes = 4 + name.length + 2 + 2;
    ByteBuffer request = ByteBuffer.allocate(4 + 8 + 4 + 4 + optionBytes);
    request.putInt(HANDSHAKE_FIXED_NEWSTYLE | (server & HANDSHAKE_NO_ZEROES));
    request.putLong(IHAVEOPT).putInt(OPT_GO).putInt(optionBytes);
    request.putInt(name.length).put(name).putShort((short) 1).putShort((short) INFO_BLOCK_SIZE);
    socket.write(request.array());
    return replies(socket, exportName);
  }

  private static Export replies(UnixSocket socket, String exportName) throws IOException {
    long size = -1;
    int flags = 0;
    int minimumBlockBytes = 1;
    while (true) {
      ByteBuffer header = socket.read(OPTION_REPLY_BYTES);
      long magic = header.getLong();
      int option = header.getInt();
      int type = header.getInt();
      int length = header.getInt();
      if (magic != REPLY_MAGIC || option != OPT_GO || length < 0 || length > MAXIMUM_REPLY_BYTES) {
        throw new ProtocolException(
            "bad option reply from " + socket + ": option=" + option + " length=" + length);
      }
      ByteBuffer data = socket.read(length);
      if ((type & REP_ERROR) != 0) {
        throw new ProtocolException(
            socket
                + " refuses export '"
                + exportName
                + "': error "
                + (type & ~REP_ERROR)
                + " "
                + StandardCharsets.UTF_8.decode(data));
      } else if (type == REP_ACK) {
        if (size < 0) {
          throw new ProtocolException(socket + " accepts the export but does not tell its size");
        }
        return new Export(size, flags, minimumBlockBytes);
      } else if (type == REP_INFO && length >= 2) {
        int info = data.getShort();
        if (info == INFO_EXPORT && length == 12) {
          size = data.getLong();
          flags = Short.toUnsignedInt(data.getShort());
        } else if (info == INFO_BLOCK_SIZE && length == 14) {
          minimumBlockBytes = data.getInt();
        }
      }
    }
  }
}
