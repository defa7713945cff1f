/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.Socket;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.SchemePortResolver;
import org.apache.hc.client5.http.impl.io.DefaultHttpClientConnectionOperator;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.client5.http.io.HttpClientConnectionOperator;
import org.apache.hc.client5.http.ssl.TlsSocketStrategy;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.io.Closer;
import org.jspecify.annotations.Nullable;

/**
 * Builds a pool whose connections are {@link ChannelSocket}s: of TCP, or of a unix socket, if one
 * is set, whatever the URL's host. Where the JVM has a SOCKS proxy for a host, they are the JDK's
 * own sockets, which know how to use it.
 *
 * <p><b>Threads:</b> connections are made by any, each within {@link #connecting}.
 */
final class Connector extends PoolingHttpClientConnectionManagerBuilder {

  /** For whom this thread connects, and to which host: the pool makes sockets without saying so. */
  private record Connecting(Attempt attempt, HttpHost host) {}

  /** What is done within {@link #connecting}. */
  interface Connection {
    void make() throws IOException;
  }

  private static final ThreadLocal<@Nullable Connecting> CURRENT = new ThreadLocal<>();

  private final @Nullable Path unixSocket;

  Connector(@Nullable Path unixSocket) {
    this.unixSocket = unixSocket;
  }

  /**
   * Has the pool connect.
   *
   * @param attempt told each socket, as there may be several: a host has several addresses
   * @param host the server's, or the proxy's
   * @param connection calls the pool, which asks for sockets in this thread
   */
  void connecting(Attempt attempt, HttpHost host, Connection connection) throws IOException {
    CURRENT.set(new Connecting(attempt, host));
    try {
      connection.make();
    } finally {
      CURRENT.remove();
    }
  }

  @Override
  protected HttpClientConnectionOperator createConnectionOperator(
      SchemePortResolver ports, DnsResolver names, TlsSocketStrategy tls) {
    return new DefaultHttpClientConnectionOperator(
        socksProxy -> socket(),
        ports,
        unixSocket == null ? names : new NoNames(),
        scheme -> scheme.equals("https") ? tls : null);
  }

  private Socket socket() throws IOException {
    Connecting connecting = CURRENT.get();
    if (connecting == null) {
      throw new IllegalStateException("a socket for nobody");
    }
    Socket socket;
    if (unixSocket != null) {
      socket = ChannelSocket.unix(unixSocket);
    } else {
      socket = hasSocksProxy(connecting.host()) ? new Socket() : ChannelSocket.tcp();
    }
    // HttpClient goes on from address to address also when its connection was closed meanwhile, and
    // then forgets the socket.
    connecting.attempt().enter(() -> Closer.closeQuietly(socket));
    return socket;
  }

  /** Asks as the JDK's sockets do. */
  private static boolean hasSocksProxy(HttpHost host) {
    ProxySelector selector = ProxySelector.getDefault();
    if (selector == null) {
      return false;
    }
    try {
      URI uri = new URI("socket", null, host.getHostName(), host.getPort(), null, null, null);
      return selector.select(uri).stream().anyMatch(proxy -> proxy.type() == Proxy.Type.SOCKS);
    } catch (URISyntaxException | IllegalArgumentException e) {
      return false; // as they do
    }
  }

  /** The host's name is for the server behind the socket; it need not be known here. */
  private static final class NoNames implements DnsResolver {
    @Override
    public InetAddress[] resolve(String host) {
      return new InetAddress[] {InetAddress.getLoopbackAddress()};
    }

    @Override
    public String resolveCanonicalHostname(String host) {
      return host;
    }
  }
}
