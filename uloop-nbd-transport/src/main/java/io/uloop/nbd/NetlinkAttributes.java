/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.ByteArrayOutputStream;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Reads and writes netlink attributes.
 *
 * <pre>
 *   0  u16 length of header and payload, without padding
 *   2  u16 type; bit 15 = the payload is attributes, bit 14 = it is big-endian
 *   4  payload, then zeroes up to a multiple of 4
 * </pre>
 *
 * All numbers have the machine's byte order.
 *
 * <p><b>Source:</b> the kernel's include/uapi/linux/netlink.h, {@code struct nlattr}.
 */
final class NetlinkAttributes {

  static final int HEADER_BYTES = 4;
  static final int NESTED = 0x8000;

  private static final int TYPE_MASK = 0x3fff;

  private final List<Attribute> attributes;

  private NetlinkAttributes(List<Attribute> attributes) {
    this.attributes = attributes;
  }

  private record Attribute(int type, ByteBuffer payload) {}

  /**
   * Takes a run of attributes apart.
   *
   * @throws ProtocolException if a length does not fit
   */
  static NetlinkAttributes parse(ByteBuffer bytes) throws ProtocolException {
    ByteBuffer rest = bytes.slice().order(ByteOrder.nativeOrder());
    List<Attribute> found = new ArrayList<>();
    while (rest.remaining() >= HEADER_BYTES) {
      int length = Short.toUnsignedInt(rest.getShort(rest.position()));
      int type = rest.getShort(rest.position() + 2) & TYPE_MASK;
      if (length < HEADER_BYTES || length > rest.remaining()) {
        throw new ProtocolException(
            "netlink attribute " + type + " of " + length + " bytes in " + rest.remaining());
      }
      ByteBuffer payload = rest.slice(rest.position() + HEADER_BYTES, length - HEADER_BYTES);
      found.add(new Attribute(type, payload.order(ByteOrder.nativeOrder())));
      rest.position(Math.min(rest.limit(), rest.position() + aligned(length)));
    }
    return new NetlinkAttributes(found);
  }

  /** Finds the payload of the first attribute of a type. */
  Optional<ByteBuffer> find(int type) {
    return attributes.stream()
        .filter(a -> a.type == type)
        .map(a -> duplicate(a.payload))
        .findFirst();
  }

  /** Finds the payloads of all attributes of a type, in order. */
  List<ByteBuffer> all(int type) {
    return attributes.stream().filter(a -> a.type == type).map(a -> duplicate(a.payload)).toList();
  }

  /** Gives the attributes inside the first of a type, none if it is missing. */
  NetlinkAttributes nested(int type) throws ProtocolException {
    Optional<ByteBuffer> payload = find(type);
    return payload.isPresent() ? parse(payload.get()) : new NetlinkAttributes(List.of());
  }

  /** Gives the payloads in order, whatever their type. */
  List<ByteBuffer> payloads() {
    return attributes.stream().map(a -> duplicate(a.payload)).toList();
  }

  /**
   * Gives an unsigned number of 1, 2 or 4 bytes.
   *
   * @throws ProtocolException if it is missing, or of another length
   */
  int number(int type) throws ProtocolException {
    ByteBuffer payload =
        find(type).orElseThrow(() -> new ProtocolException("netlink attribute missing: " + type));
    return switch (payload.remaining()) {
      case 1 -> Byte.toUnsignedInt(payload.get());
      case 2 -> Short.toUnsignedInt(payload.getShort());
      case 4 -> payload.getInt();
      default ->
          throw new ProtocolException(
              "netlink attribute " + type + " is no number: " + payload.remaining() + " bytes");
    };
  }

  /** Gives a text without its zero byte. */
  static String text(ByteBuffer payload) {
    int end = payload.limit();
    while (end > payload.position() && payload.get(end - 1) == 0) {
      end--;
    }
    return StandardCharsets.UTF_8
        .decode(payload.slice(payload.position(), end - payload.position()))
        .toString();
  }

  static int aligned(int length) {
    return (length + 3) & ~3;
  }

  private static ByteBuffer duplicate(ByteBuffer payload) {
    return payload.duplicate().order(ByteOrder.nativeOrder());
  }

  /** Puts attributes together. */
  static final class Builder {

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

    Builder u32(int type, int value) {
      return add(type, ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(value).array());
    }

    Builder u64(int type, long value) {
      return add(
          type, ByteBuffer.allocate(8).order(ByteOrder.nativeOrder()).putLong(value).array());
    }

    Builder text(int type, String value) {
      return add(type, (value + '\0').getBytes(StandardCharsets.UTF_8));
    }

    Builder nest(int type, Builder inner) {
      return add(type | NESTED, inner.build());
    }

    byte[] build() {
      return bytes.toByteArray();
    }

    private Builder add(int type, byte[] payload) {
      int length = HEADER_BYTES + payload.length;
      if (length > 0xffff) {
        throw new IllegalArgumentException("attribute too long: type=" + type);
      }
      ByteBuffer whole = ByteBuffer.allocate(aligned(length)).order(ByteOrder.nativeOrder());
      whole.putShort((short) length).putShort((short) type).put(payload);
      bytes.writeBytes(whole.array());
      return this;
    }
  }
}
