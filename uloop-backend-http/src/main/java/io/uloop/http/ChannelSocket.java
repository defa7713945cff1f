/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketOption;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Set;
import jdk.net.ExtendedSocketOptions;
import org.jspecify.annotations.Nullable;

/**
 * A {@link Socket} over a channel, for what the JDK's sockets do not have.
 *
 * <ul>
 *   <li>It receives into direct buffers ({@link #receive}), which go on to a file as they are. The
 *       JDK's sockets receive into a direct buffer of their own and copy from that to the heap;
 *       writing to a file copies back.
 *   <li>It acknowledges an answer's bytes when they are read. To Linux, requests and answers look
 *       like an interactive session, in which it keeps acknowledgements back for some 40 ms, so
 *       that they can go with what is sent next. A server that waits for one before it sends on
 *       (its window is small yet; or it sends as fast as it was acknowledged, as BBR does) waits so
 *       long as well. {@code TCP_QUICKACK} ends that mode, and the next request begins it again: so
 *       it is set after each. RFC 1122, section 4.2.3.2, allows to delay an acknowledgement, and
 *       asks for none.
 *   <li>It may be of the unix family. HttpClient has an adapter for that as well, which leaves two
 *       selectors open per connection and is not woken by a close.
 * </ul>
 *
 * <p><b>Threads:</b> one connects, reads or writes at a time, as HTTP/1.1 does; any may close.
 *
 * <p><b>Source:</b> tcp(7), unix(7).
 */
// The superclass locks where it guards fields that are not used here.
@SuppressWarnings("UnsynchronizedOverridesSynchronized")
final class ChannelSocket extends Socket {

  private final TimedChannel channel;

  /** Where to connect, whatever is asked for; null if it is a socket of TCP. */
  private final @Nullable SocketAddress fixed;

  private final Set<SocketOption<?>> options;
  private final boolean prompt;
  private volatile int timeoutMillis;
  private volatile boolean inputShutdown;
  private volatile boolean outputShutdown;

  private ChannelSocket(SocketChannel channel, @Nullable SocketAddress fixed) throws IOException {
    this.channel = new TimedChannel(channel);
    this.fixed = fixed;
    this.options = channel.supportedOptions();
    this.prompt = fixed == null && options.contains(ExtendedSocketOptions.TCP_QUICKACK);
  }

  /** Makes one of TCP. */
  static ChannelSocket tcp() throws IOException {
    return new ChannelSocket(SocketChannel.open(), null);
  }

  /** Makes one of the unix family, which connects to the path whatever the URL's host is. */
  static ChannelSocket unix(Path path) throws IOException {
    SocketAddress address = UnixDomainSocketAddress.of(path);
    return new ChannelSocket(SocketChannel.open(StandardProtocolFamily.UNIX), address);
  }

  /**
   * Connects.
   *
   * @param millis for how long to try; 0 for as long as the kernel does. A unix socket does not
   *     heed it: it connects at once, or waits for room in the backlog
   * @throws UnknownHostException if the address has no number
   * @throws SocketTimeoutException if there was no answer in time
   * @throws IOException if it is refused, or closed meanwhile
   */
  @Override
  public void connect(SocketAddress address, int millis) throws IOException {
    if (fixed == null && address instanceof InetSocketAddress a && a.isUnresolved()) {
      close();
      throw new UnknownHostException(a.getHostString());
    }
    channel.connect(fixed != null ? fixed : address, millis);
  }

  @Override
  public void connect(SocketAddress address) throws IOException {
    connect(address, 0);
  }

  /**
   * Receives what there is, or waits for it as long as {@link #setSoTimeout} says; see {@link
   * TimedChannel#receive}.
   */
  int receive(ByteBuffer into) throws IOException {
    return channel.receive(into, timeoutMillis);
  }

  private void send(ByteBuffer bytes) throws IOException {
    channel.send(bytes);
    if (prompt) {
      option(ExtendedSocketOptions.TCP_QUICKACK, true);
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
        return receive(ByteBuffer.wrap(bytes, offset, length));
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
        send(ByteBuffer.wrap(bytes, offset, length));
      }
    };
  }

  @Override
  public void setSoTimeout(int millis) {
    if (millis < 0) {
      throw new IllegalArgumentException("negative: millis=" + millis);
    }
    timeoutMillis = millis;
  }

  @Override
  public int getSoTimeout() {
    return timeoutMillis;
  }

  /** Sets an option; one of TCP is ignored by a unix socket. */
  @Override
  public <T> Socket setOption(SocketOption<T> name, T value) throws IOException {
    if (options.contains(name)) {
      channel.channel().setOption(name, value);
    }
    return this;
  }

  @Override
  public <T> T getOption(SocketOption<T> name) throws IOException {
    return channel.channel().getOption(name);
  }

  @Override
  public Set<SocketOption<?>> supportedOptions() {
    return options;
  }

  private <T> void option(SocketOption<T> name, T value) throws SocketException {
    try {
      setOption(name, value);
    } catch (IOException e) {
      throw (SocketException) new SocketException(name + ": " + Text.ofFailure(e)).initCause(e);
    }
  }

  @Override
  public void setSoLinger(boolean on, int seconds) throws SocketException {
    option(StandardSocketOptions.SO_LINGER, on ? seconds : -1);
  }

  @Override
  public int getSoLinger() {
    return -1; // as nobody sets it but to close at once
  }

  @Override
  public void setTcpNoDelay(boolean on) throws SocketException {
    option(StandardSocketOptions.TCP_NODELAY, on);
  }

  @Override
  public void setKeepAlive(boolean on) throws SocketException {
    option(StandardSocketOptions.SO_KEEPALIVE, on);
  }

  @Override
  public void setReceiveBufferSize(int bytes) throws SocketException {
    option(StandardSocketOptions.SO_RCVBUF, bytes);
  }

  @Override
  public void setSendBufferSize(int bytes) throws SocketException {
    option(StandardSocketOptions.SO_SNDBUF, bytes);
  }

  @Override
  public void bind(@Nullable SocketAddress address) throws IOException {
    channel.channel().bind(address);
  }

  @Override
  public void setReuseAddress(boolean on) throws SocketException {
    option(StandardSocketOptions.SO_REUSEADDR, on);
  }

  @Override
  public boolean isConnected() {
    return channel.channel().isConnected();
  }

  @Override
  public boolean isClosed() {
    return !channel.channel().isOpen();
  }

  @Override
  public @Nullable SocketAddress getRemoteSocketAddress() {
    try {
      return channel.channel().getRemoteAddress();
    } catch (IOException e) {
      return null;
    }
  }

  @Override
  public @Nullable SocketAddress getLocalSocketAddress() {
    try {
      return channel.channel().getLocalAddress();
    } catch (IOException e) {
      return null;
    }
  }

  /** A unix socket's is this machine's own. */
  @Override
  public @Nullable InetAddress getInetAddress() {
    if (fixed != null) {
      return InetAddress.getLoopbackAddress();
    }
    return getRemoteSocketAddress() instanceof InetSocketAddress remote
        ? remote.getAddress()
        : null;
  }

  @Override
  public int getPort() {
    return getRemoteSocketAddress() instanceof InetSocketAddress remote ? remote.getPort() : 0;
  }

  @Override
  public void shutdownOutput() throws IOException {
    channel.channel().shutdownOutput();
    outputShutdown = true;
  }

  @Override
  public boolean isOutputShutdown() {
    return outputShutdown;
  }

  @Override
  public void shutdownInput() throws IOException {
    channel.channel().shutdownInput();
    inputShutdown = true;
  }

  @Override
  public boolean isInputShutdown() {
    return inputShutdown;
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }

  @Override
  public String toString() {
    return String.valueOf(fixed == null ? getRemoteSocketAddress() : fixed);
  }
}
