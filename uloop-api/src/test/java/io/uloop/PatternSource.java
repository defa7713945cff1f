/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.util.Optional;

/**
 * A source of any size, terabytes too, whose bytes are computed from their offsets.
 *
 * <p>No two aligned runs of eight bytes are the same, so data at a wrong place shows.
 */
public final class PatternSource implements BlockSource {

  private final long size;
  private volatile boolean closed;

  /**
   * Makes one.
   *
   * @param size in bytes
   */
  public PatternSource(long size) {
    this.size = size;
  }

  /** Gives the byte at an offset. */
  public static byte byteAt(long offset) {
    return (byte) (wordAt(offset >>> 3) >>> ((offset & 7) * 8));
  }

  // A bijection (splitmix64's finisher, Steele et al. 2014), so that words differ from each other.
  private static long wordAt(long index) {
    long z = index + 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }

  /** Gives the bytes of a range. */
  public static byte[] bytes(long offset, int length) {
    byte[] bytes = new byte[length];
    fill(offset, ByteBuffer.wrap(bytes));
    return bytes;
  }

  private static void fill(long offset, ByteBuffer dst) {
    ByteBuffer little = dst.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    long at = offset;
    while (little.hasRemaining()) {
      if ((at & 7) == 0 && little.remaining() >= 8) {
        little.putLong(wordAt(at >>> 3));
        at += 8;
      } else {
        little.put(byteAt(at++));
      }
    }
    dst.position(dst.limit());
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    if (closed) {
      throw new ClosedChannelException();
    }
    fill(offset, dst);
  }

  @Override
  public SourceIdentity identity() {
    return new SourceIdentity("pattern:" + size, size, Optional.empty());
  }

  @Override
  public int parallelism() {
    return 8;
  }

  @Override
  public void close() {
    closed = true;
  }
}
