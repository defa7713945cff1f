/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.file.Path;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.SchemePortResolver;
import org.apache.hc.client5.http.impl.io.DefaultHttpClientConnectionOperator;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.client5.http.io.HttpClientConnectionOperator;
import org.apache.hc.client5.http.ssl.TlsSocketStrategy;
import org.jspecify.annotations.Nullable;

/**
 * Builds a pool whose connections are {@link ChannelSocket}s: of TCP, or of a unix socket, if one
 * is set, whatever the URL's host.
 */
final class Connector extends PoolingHttpClientConnectionManagerBuilder {

  /** With this property the JDK's own sockets go through a SOCKS proxy; channels do not. */
  private static final String SOCKS = "socksProxyHost";

  private final @Nullable Path unixSocket;

  Connector(@Nullable Path unixSocket) {
    this.unixSocket = unixSocket;
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
    if (unixSocket != null) {
      return ChannelSocket.unix(unixSocket);
    }
    return System.getProperty(SOCKS) == null ? ChannelSocket.tcp() : new Socket();
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
