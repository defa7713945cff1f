/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Lays out {@code struct sockaddr_un}.
 *
 * <pre>
 *   0  sa_family_t sun_family (2 bytes)
 *   2  char sun_path[108]
 * </pre>
 *
 * A path may fill all 108 bytes, without a zero at the end; the length of the address then says
 * where it ends. A name that begins with {@code @} is abstract: its first byte is zero, and it has
 * no end mark either.
 *
 * <p><b>Source:</b> unix(7), "Address format".
 */
final class UnixSocketAddress {

  static final int AF_UNIX = 1;
  static final int PATH_OFFSET = 2;
  static final int PATH_BYTES = 108;

  private UnixSocketAddress() {}

  /**
   * Checks the length of what a server listens at. A path of all 108 bytes could be bound, but most
   * clients could not connect to it.
   *
   * @throws IllegalArgumentException if it does not fit
   */
  static void check(String path) {
    int bytes = path.getBytes(StandardCharsets.UTF_8).length;
    int most = path.startsWith("@") ? PATH_BYTES : PATH_BYTES - 1;
    if (bytes > most) {
      throw new IllegalArgumentException(
          "the path of a unix socket has at most "
              + most
              + " bytes, this one "
              + bytes
              + ": "
              + path);
    }
  }

  /**
   * Lays out the address of a path, or of an abstract name.
   *
   * @param path a path, or {@code @name}
   * @return the bytes to hand to connect, bind or sendto, no longer than needed
   * @throws IllegalArgumentException if it is empty or does not fit
   */
  static byte[] of(String path) {
    byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
    if (bytes.length == 0 || bytes.length > PATH_BYTES) {
      throw new IllegalArgumentException(
          "the path of a unix socket has 1 to "
              + PATH_BYTES
              + " bytes, this one "
              + bytes.length
              + ": '"
              + path
              + "'");
    }
    boolean isAbstract = bytes[0] == '@';
    boolean endMark = !isAbstract && bytes.length < PATH_BYTES;
    ByteBuffer address = ByteBuffer.allocate(PATH_OFFSET + bytes.length + (endMark ? 1 : 0));
    address.order(ByteOrder.nativeOrder()).putShort((short) AF_UNIX).put(bytes);
    if (isAbstract) {
      address.put(PATH_OFFSET, (byte) 0);
    }
    return address.array();
  }
}
