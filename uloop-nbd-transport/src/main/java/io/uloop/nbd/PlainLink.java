/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;

/** The socket itself. */
final class PlainLink implements Link {

  private final SocketChannel channel;

  PlainLink(SocketChannel channel) {
    this.channel = channel;
  }

  @Override
  public int read(ByteBuffer dst) throws IOException {
    return channel.read(dst);
  }

  @Override
  public void write(ByteBuffer[] srcs, int count) throws IOException {
    if (count == 1) {
      channel.write(srcs[0]);
    } else {
      channel.write(srcs, 0, count);
    }
  }

  @Override
  public boolean flush() {
    return true;
  }

  @Override
  public WritableByteChannel direct() {
    return channel;
  }

  @Override
  public void endOutput() throws IOException {
    channel.shutdownOutput();
  }
}
