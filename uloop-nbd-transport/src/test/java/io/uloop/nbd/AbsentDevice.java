/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.ByteRange;
import io.uloop.Extent;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.util.List;

/** A device of which nothing is present: all is asked for by {@link BlockDevice#readAsync}. */
abstract class AbsentDevice implements BlockDevice {

  @Override
  public boolean tryRead(long offset, ByteBuffer dst) {
    return false;
  }

  @Override
  public long transferTo(long offset, long length, WritableByteChannel target) {
    return 0;
  }

  @Override
  public long presentBytes(long offset, long length) {
    return 0;
  }

  @Override
  public List<Extent> extents(long offset, long length) {
    return List.of(new Extent(new ByteRange(offset, offset + length), false, false));
  }
}
