/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import io.uloop.ReadSink;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * A source that keeps what each read of it delivered, block by block, and which blocks an earlier
 * one had delivered already.
 */
final class DeliveryRecord extends ForwardingSource {

  /** A quarter of the fetch unit that a device has unless told otherwise. */
  private static final int BRIDGED_BYTES = 16 * 1024;

  private final int blockBytes;

  // Guarded by this.
  private final BitSet delivered = new BitSet();
  private final List<String> unexplained = new ArrayList<>();

  DeliveryRecord(BlockSource source, int blockBytes) {
    super(source);
    this.blockBytes = blockBytes;
  }

  /**
   * Tells which runs of blocks were delivered a second time for no reason.
   *
   * <p>A fetch may go over what is present already, but only over runs of a quarter of the fetch
   * unit, and only between blocks that it is the first to bring.
   */
  synchronized List<String> unexplained() {
    return List.copyOf(unexplained);
  }

  @Override
  public void read(long offset, long length, ReadSink sink) throws IOException {
    Read read = new Read(offset, offset + length);
    super.read(
        offset,
        length,
        new ReadSink() {
          @Override
          public void accept(ByteBuffer piece) throws IOException {
            read.deliver(piece.remaining());
            sink.accept(piece);
          }

          @Override
          public void onCancel(Runnable abort) {
            sink.onCancel(abort);
          }
        });
  }

  /** One read of the source; on one thread. */
  private final class Read {
    private final long end;
    private long position;
    private boolean first = true;

    /** Blocks just delivered that had been before. */
    private long again;

    Read(long offset, long end) {
      this.position = offset;
      this.end = end;
    }

    void deliver(int bytes) {
      long to = position + bytes;
      int from = Math.toIntExact(position / blockBytes);
      int until =
          Math.toIntExact(to == size() ? (to + blockBytes - 1) / blockBytes : to / blockBytes);
      synchronized (DeliveryRecord.this) {
        for (int block = from; block < until; block++) {
          boolean before = delivered.get(block);
          delivered.set(block);
          again = before ? again + 1 : 0;
          boolean outermost = first || (long) (block + 1) * blockBytes >= end;
          if (before && (outermost || again * blockBytes > BRIDGED_BYTES)) {
            unexplained.add("block " + block + " of a read up to " + end + ", run " + again);
          }
          first = false;
        }
      }
      position = to;
    }
  }
}
