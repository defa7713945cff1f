/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.Errno;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * What one client may ask for, by what was agreed and by what the device and the limits allow.
 *
 * <p><b>Threads:</b> any; it does not change.
 *
 * <p><b>Source:</b> proto.md, "Request types", "Error values".
 */
final class RequestCheck {

  /** The payload of a block status that names each context once. */
  private static final int MAX_FILTER_BYTES = 8 + 4 * MetaContext.values().length;

  private final long size;
  private final int alignment;
  private final ReplyStyle style;
  private final int flags;
  private final int contexts;
  private final NbdLimits limits;

  RequestCheck(BlockDevice device, ReplyStyle style, int flags, int contexts, NbdLimits limits) {
    this.size = device.size();
    this.alignment = device.capabilities().minimumBlockBytes();
    this.style = style;
    this.flags = flags;
    this.contexts = contexts;
    this.limits = limits;
  }

  /**
   * Gives the bytes that follow the header, wanted or not.
   *
   * <p>A WRITE with extended headers must have PAYLOAD_LEN, but qemu's client leaves it out (seen
   * in 10.0) and sends the payload all the same; qemu's server puts up with that too.
   */
  long payloadBytes(RequestHeader request) throws IOException {
    boolean flagged = style == ReplyStyle.EXTENDED && request.has(Nbd.CMD_FLAG_PAYLOAD_LEN);
    if (request.type != Nbd.CMD_WRITE && !flagged) {
      return 0;
    }
    int most = Math.max(limits.payloadBytes(), Nbd.DEFAULT_MAX_PAYLOAD_BYTES);
    if (request.length < 0 || request.length > most) {
      throw new IOException("payload too long: length=" + request.length + " limit=" + most);
    }
    return request.length;
  }

  /** Tells what is wrong with a request, its payload's length included; or null. */
  @Nullable Errno wrong(RequestHeader request) {
    boolean extended = style == ReplyStyle.EXTENDED;
    boolean writing = false;
    int allowed = (flags & Nbd.FLAG_SEND_FUA) != 0 ? Nbd.CMD_FLAG_FUA : 0;
    switch (request.type) {
      case Nbd.CMD_READ -> allowed |= style.chunked() ? Nbd.CMD_FLAG_DF : 0;
      case Nbd.CMD_WRITE -> {
        writing = true;
        allowed |= extended ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0;
      }
      case Nbd.CMD_TRIM, Nbd.CMD_WRITE_ZEROES -> writing = true;
      case Nbd.CMD_FLUSH, Nbd.CMD_CACHE -> {}
      case Nbd.CMD_BLOCK_STATUS -> {
        if (contexts == 0) {
          return Errno.EINVAL;
        }
        allowed |= Nbd.CMD_FLAG_REQ_ONE;
        allowed |= (flags & Nbd.FLAG_BLOCK_STATUS_PAYLOAD) != 0 ? Nbd.CMD_FLAG_PAYLOAD_LEN : 0;
      }
      default -> {
        return Errno.EINVAL;
      }
    }
    if (writing && (flags & Nbd.FLAG_READ_ONLY) != 0) {
      return Errno.EPERM;
    }
    if (request.type == Nbd.CMD_TRIM && (flags & Nbd.FLAG_SEND_TRIM) == 0) {
      return Errno.EINVAL;
    }
    if (request.type == Nbd.CMD_WRITE_ZEROES) {
      if ((flags & Nbd.FLAG_SEND_WRITE_ZEROES) == 0) {
        return Errno.EINVAL;
      }
      allowed |= Nbd.CMD_FLAG_NO_HOLE;
      allowed |= (flags & Nbd.FLAG_SEND_FAST_ZERO) != 0 ? Nbd.CMD_FLAG_FAST_ZERO : 0;
    }
    if ((request.flags & ~allowed) != 0) {
      return Errno.EINVAL;
    }
    return request.type == Nbd.CMD_BLOCK_STATUS && request.has(Nbd.CMD_FLAG_PAYLOAD_LEN)
        ? wrongFilter(request)
        : wrongRange(request);
  }

  private @Nullable Errno wrongRange(RequestHeader request) {
    if (request.type == Nbd.CMD_FLUSH) {
      return (request.offset | request.length) == 0 ? null : Errno.EINVAL;
    }
    if (!request.within(size)) {
      boolean filling = request.type == Nbd.CMD_WRITE || request.type == Nbd.CMD_WRITE_ZEROES;
      return filling ? Errno.ENOSPC : Errno.EINVAL;
    }
    if (!request.alignedTo(alignment)) {
      return Errno.EINVAL;
    }
    if (request.length > limits.payloadBytes()) {
      if (request.type == Nbd.CMD_READ) {
        return style.chunked() ? Errno.EOVERFLOW : Errno.EINVAL;
      }
      return request.type == Nbd.CMD_WRITE ? Errno.EINVAL : null;
    }
    return null;
  }

  /** The list of contexts of a block status; the length that matters is within it. */
  private static @Nullable Errno wrongFilter(RequestHeader request) {
    long length = request.length;
    return length < 12 || length > MAX_FILTER_BYTES || length % 4 != 0 ? Errno.EINVAL : null;
  }
}
