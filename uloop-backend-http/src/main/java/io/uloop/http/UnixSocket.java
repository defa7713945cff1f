/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;

/**
 * A socket of the unix family as a {@link Socket}, which the JDK does not have.
 *
 * <p>HttpClient has an adapter as well; that one leaves two selectors open per connection and is
 * not woken by a close. Here one selector waits for either direction, and {@link #close} closes it,
 * which wakes the waiting thread.
 *
 * <p><b>Threads:</b> one reads or writes at a time, as HTTP/1.1 does; any may close.
 */
// The superclass locks where it guards fields that are not used here.
@SuppressWarnings("UnsynchronizedOverridesSynchronized")
final class UnixSocket extends Socket {

  private final Path path;
  private final SocketChannel channel;
  private final Selector selector;
  private volatile int timeoutMillis;

  UnixSocket(Path path) throws IOException {
    this.path = path;
    channel = SocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      selector = Selector.open();
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  /** Connects to the path; the address, that of the URL's host, is not used. */
  @Override
  public void connect(SocketAddress address, int millis) throws IOException {
    // A unix socket connects at once or waits for room in the backlog; there is no timeout to set.
    channel.connect(UnixDomainSocketAddress.of(path));
    channel.configureBlocking(false);
    channel.register(selector, SelectionKey.OP_READ);
  }

  @Override
  public void connect(SocketAddress address) throws IOException {
    connect(address, 0);
  }

  private void await(int interest, int millis) throws IOException {
    try {
      SelectionKey key = channel.keyFor(selector);
      if (key == null) {
        throw new SocketException("Socket closed");
      }
      key.interestOps(interest);
      int ready = selector.select(millis);
      selector.selectedKeys().clear();
      if (!channel.isOpen() || !selector.isOpen()) {
        throw new SocketException("Socket closed");
      }
      if (ready == 0) {
        throw new SocketTimeoutException("timed out");
      }
    } catch (ClosedSelectorException | java.nio.channels.CancelledKeyException e) {
      throw (SocketException) new SocketException("Socket closed").initCause(e);
    }
  }

  @Override
  public InputStream getInputStream() {
    return new InputStream() {
      @Override
      public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
      }

      @Override
      public int read(byte[] bytes, int offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, offset, length);
        while (true) {
          int n = channel.read(buffer);
          if (n != 0 || length == 0) {
            return n;
          }
          await(SelectionKey.OP_READ, timeoutMillis);
        }
      }
    };
  }

  @Override
  public OutputStream getOutputStream() {
    return new OutputStream() {
      @Override
      public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
      }

      @Override
      public void write(byte[] bytes, int offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes, offset, length);
        while (buffer.hasRemaining()) {
          if (channel.write(buffer) == 0) {
            await(SelectionKey.OP_WRITE, timeoutMillis);
          }
        }
      }
    };
  }

  @Override
  public void setSoTimeout(int millis) {
    timeoutMillis = millis;
  }

  @Override
  public int getSoTimeout() {
    return timeoutMillis;
  }

  // Options of TCP, which this is not.

  @Override
  public void setSoLinger(boolean on, int seconds) {}

  @Override
  public void setTcpNoDelay(boolean on) {}

  @Override
  public void setKeepAlive(boolean on) {}

  @Override
  public void setReuseAddress(boolean on) {}

  @Override
  public boolean isConnected() {
    return channel.isConnected();
  }

  @Override
  public boolean isClosed() {
    return !channel.isOpen();
  }

  @Override
  public SocketAddress getRemoteSocketAddress() {
    return UnixDomainSocketAddress.of(path);
  }

  @Override
  public SocketAddress getLocalSocketAddress() {
    return UnixDomainSocketAddress.of("");
  }

  @Override
  public InetAddress getInetAddress() {
    return InetAddress.getLoopbackAddress();
  }

  @Override
  public void shutdownOutput() throws IOException {
    channel.shutdownOutput();
  }

  @Override
  public void shutdownInput() throws IOException {
    channel.shutdownInput();
  }

  @Override
  public void close() throws IOException {
    try {
      channel.close();
    } finally {
      selector.close();
    }
  }

  @Override
  public String toString() {
    return "unix:" + path;
  }
}
