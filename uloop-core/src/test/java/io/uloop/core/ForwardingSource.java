/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import io.uloop.Extent;
import io.uloop.ReadSink;
import io.uloop.SourceIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/** Passes every read and question on; for tests that look at or change some of them. */
class ForwardingSource implements BlockSource {

  private final BlockSource below;

  ForwardingSource(BlockSource below) {
    this.below = below;
  }

  @Override
  public long size() {
    return below.size();
  }

  @Override
  public SourceIdentity identity() {
    return below.identity();
  }

  @Override
  public int preferredFetchBytes() {
    return below.preferredFetchBytes();
  }

  @Override
  public int parallelism() {
    return below.parallelism();
  }

  @Override
  public List<Extent> extents(long offset, long length) throws IOException {
    return below.extents(offset, length);
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    below.read(offset, dst);
  }

  @Override
  public void read(long offset, long length, ReadSink sink) throws IOException {
    below.read(offset, length, sink);
  }

  @Override
  public void close() throws IOException {
    below.close();
  }
}
