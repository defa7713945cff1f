/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.InetAddress;
import java.nio.file.Path;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.SchemePortResolver;
import org.apache.hc.client5.http.impl.io.DefaultHttpClientConnectionOperator;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.client5.http.io.HttpClientConnectionOperator;
import org.apache.hc.client5.http.ssl.TlsSocketStrategy;
import org.jspecify.annotations.Nullable;

/**
 * Builds a pool whose connections acknowledge promptly, or go to a unix socket, if one is set,
 * whatever the URL's host.
 */
final class Connector extends PoolingHttpClientConnectionManagerBuilder {

  private final @Nullable Path unixSocket;

  Connector(@Nullable Path unixSocket) {
    this.unixSocket = unixSocket;
  }

  @Override
  protected HttpClientConnectionOperator createConnectionOperator(
      SchemePortResolver ports, DnsResolver names, TlsSocketStrategy tls) {
    Path path = unixSocket;
    return new DefaultHttpClientConnectionOperator(
        socksProxy -> path == null ? new PromptSocket() : new UnixSocket(path),
        ports,
        path == null ? names : new NoNames(),
        scheme -> scheme.equals("https") ? tls : null);
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
