/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.Extent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/**
 * The answer to NBD_CMD_BLOCK_STATUS: one list of runs per context.
 *
 * <p><b>Source:</b> proto.md, NBD_CMD_BLOCK_STATUS, NBD_REPLY_TYPE_BLOCK_STATUS; branch
 * extension-ext-header, NBD_REPLY_TYPE_BLOCK_STATUS_EXT.
 */
final class BlockStatus {

  /** Runs in one list; the protocol advises against more than 2^20. */
  private static final int MAX_RUNS = 8192;

  /** How often the device is asked for one answer; a client goes on where the answer ends. */
  private static final int MAX_CALLS = 64;

  /** No reply is longer. */
  static final int MAX_REPLY_BYTES =
      MetaContext.values().length * (ReplyStyle.MAX_HEADER_BYTES + 8 + 16 * MAX_RUNS);

  /** A run of one kind. */
  private record Run(long length, int flags) {}

  private BlockStatus() {}

  /**
   * Makes the whole reply; may block on local storage.
   *
   * @param mask the contexts to answer for
   * @param one whether one run per context is wanted
   * @return bytes ready to be sent, position 0
   */
  static ByteBuffer reply(
      BlockDevice device,
      ReplyStyle style,
      long cookie,
      long requestOffset,
      long length,
      int mask,
      boolean one)
      throws IOException {
    List<Extent> extents = extents(device, requestOffset, length, one);
    boolean wide = style == ReplyStyle.EXTENDED;
    int entry = wide ? 16 : 8;
    int lists = Integer.bitCount(mask);
    ByteBuffer to =
        ByteBuffer.allocate(
            lists * (ReplyStyle.MAX_HEADER_BYTES + 8 + entry * Math.min(MAX_RUNS, extents.size())));
    for (MetaContext context : MetaContext.values()) {
      if ((mask & context.mask()) == 0) {
        continue;
      }
      List<Run> runs = runs(context, extents, one);
      style.putChunk(
          to,
          context.mask() == Integer.highestOneBit(mask) ? Nbd.REPLY_FLAG_DONE : 0,
          wide ? Nbd.REPLY_TYPE_BLOCK_STATUS_EXT : Nbd.REPLY_TYPE_BLOCK_STATUS,
          cookie,
          requestOffset,
          (wide ? 8 : 4) + (long) entry * runs.size());
      to.putInt(context.id());
      if (wide) {
        to.putInt(runs.size());
      }
      for (Run run : runs) {
        if (wide) {
          to.putLong(run.length).putLong(run.flags);
        } else {
          to.putInt((int) run.length).putInt(run.flags);
        }
      }
    }
    return to.flip();
  }

  private static List<Extent> extents(BlockDevice device, long offset, long length, boolean one)
      throws IOException {
    List<Extent> all = new ArrayList<>();
    long end = offset + length;
    long at = offset;
    for (int call = 0; at < end && all.size() < MAX_RUNS && call < MAX_CALLS; call++) {
      List<Extent> more = device.extents(at, end - at);
      for (Extent extent : more) {
        long upTo = Math.min(end, extent.range().end());
        all.add(new Extent(new io.uloop.ByteRange(at, upTo), extent.present(), extent.zero()));
        at = upTo;
      }
      if (one && all.size() > 1) {
        break;
      }
    }
    return all;
  }

  /** Joins neighbours that are alike in a context. */
  private static List<Run> runs(MetaContext context, List<Extent> extents, boolean one) {
    List<Run> runs = new ArrayList<>();
    long length = 0;
    int flags = 0;
    for (Extent extent : extents) {
      int its = context.flags(extent);
      if (length > 0 && its != flags) {
        runs.add(new Run(length, flags));
        if (one || runs.size() == MAX_RUNS) {
          return runs;
        }
        length = 0;
      }
      flags = its;
      length += extent.range().length();
    }
    runs.add(new Run(length, flags));
    return runs;
  }
}
