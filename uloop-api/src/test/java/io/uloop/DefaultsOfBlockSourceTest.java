/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;

/** A source of the three required methods keeps the whole contract by the defaults of the rest. */
class DefaultsOfBlockSourceTest extends BlockSourceContract {

  @Override
  protected Origin originOf(byte[] content) {
    return () -> new Plain(content);
  }

  private static final class Plain implements BlockSource {
    private final byte[] content;
    private volatile boolean closed;

    Plain(byte[] content) {
      this.content = content;
    }

    @Override
    public long size() {
      return content.length;
    }

    @Override
    public void read(long offset, ByteBuffer dst) throws IOException {
      if (closed) {
        throw new ClosedChannelException();
      }
      dst.put(content, (int) offset, dst.remaining());
    }

    @Override
    public void close() {
      closed = true;
    }
  }
}
