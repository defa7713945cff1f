/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.BlockSource;
import java.nio.ByteBuffer;
import java.util.Objects;

/** A source of any size that costs nothing: each 8 bytes hold a mix of their own offset. */
final class SparseSource implements BlockSource {

  private final long size;

  SparseSource(long size) {
    this.size = size;
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public int parallelism() {
    return 8;
  }

  @Override
  public void read(long offset, ByteBuffer dst) {
    Objects.checkFromIndexSize(offset, dst.remaining(), size);
    for (long at = offset; dst.remaining() >= Long.BYTES; at += Long.BYTES) {
      dst.putLong(at * 0x9E3779B97F4A7C15L | 1);
    }
    while (dst.hasRemaining()) {
      dst.put((byte) 1);
    }
  }

  @Override
  public void close() {}
}
