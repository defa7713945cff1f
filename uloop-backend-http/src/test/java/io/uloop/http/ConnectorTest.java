/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.SystemDefaultDnsResolver;
import org.apache.hc.client5.http.impl.DefaultSchemePortResolver;
import org.apache.hc.client5.http.impl.io.ManagedHttpClientConnectionFactory;
import org.apache.hc.client5.http.io.HttpClientConnectionOperator;
import org.apache.hc.client5.http.io.ManagedHttpClientConnection;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.io.SocketConfig;
import org.apache.hc.core5.http.protocol.HttpCoreContext;
import org.apache.hc.core5.util.Timeout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/** Which sockets a pool gets, and what becomes of them when nobody wants them any more. */
@org.junit.jupiter.api.Timeout(value = 60, threadMode = ThreadMode.SEPARATE_THREAD)
class ConnectorTest extends LoopbackServer {

  private static void connect(
      Attempt attempt, ManagedHttpClientConnection connection, HttpHost host, DnsResolver names)
      throws IOException {
    Connector connector = new Connector(null);
    HttpClientConnectionOperator operator =
        connector.createConnectionOperator(
            DefaultSchemePortResolver.INSTANCE,
            names,
            (socket, target, port, attachment, context) -> {
              throw new AssertionError("no TLS here");
            });
    connector.connecting(
        attempt,
        host,
        () ->
            operator.connect(
                connection,
                host,
                null,
                null,
                Timeout.ofSeconds(10),
                SocketConfig.DEFAULT,
                null,
                HttpCoreContext.create()));
  }

  private static Attempt attempt() {
    return new Attempt(Long.MAX_VALUE);
  }

  private static ManagedHttpClientConnection connection() throws IOException {
    return ManagedHttpClientConnectionFactory.INSTANCE.createConnection(null);
  }

  @Test
  void connector_withoutUnixSocket_makesOneOfTcp() throws IOException {
    try (ManagedHttpClientConnection connection = connection()) {
      HttpHost host = new HttpHost("http", "localhost", server.getLocalPort());
      connect(attempt(), connection, host, SystemDefaultDnsResolver.INSTANCE);

      assertThat(connection.getSocket()).isInstanceOf(ChannelSocket.class);
      assertThat(connection.getRemoteAddress())
          .isEqualTo(new InetSocketAddress(server.getInetAddress(), server.getLocalPort()));
    }
  }

  /** Gives two addresses of this machine; calls something for each time it is asked. */
  private static DnsResolver twoAddresses(Runnable asked) {
    return new DnsResolver() {
      @Override
      public InetAddress[] resolve(String host) throws UnknownHostException {
        asked.run();
        return new InetAddress[] {
          InetAddress.getByAddress(new byte[] {127, 0, 0, 2}),
          InetAddress.getByAddress(new byte[] {127, 0, 0, 1})
        };
      }

      @Override
      public String resolveCanonicalHostname(String host) {
        return host;
      }
    };
  }

  /** HttpClient would connect all the same, and forget the socket. */
  @Test
  void connector_attemptEndedWhileANameIsLookedUp_leavesNoSocket() throws Exception {
    Attempt attempt = attempt();
    HttpHost host = new HttpHost("http", "two.example", server.getLocalPort());
    ManagedHttpClientConnection connection = connection();

    assertThatThrownBy(
            () -> connect(attempt, connection, host, twoAddresses(() -> attempt.abort("enough"))))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("enough");
    server.setSoTimeout(1);
    assertThatThrownBy(server::accept).isInstanceOf(SocketTimeoutException.class);
  }

  @Test
  @EnabledOnOs(OS.LINUX) // where all of 127.0.0.0/8 is this machine, and a full backlog waits
  void connector_attemptEndedAtTheFirstOfTwoAddresses_doesNotGoOnToTheNext() throws Exception {
    InetAddress first = InetAddress.getByAddress(new byte[] {127, 0, 0, 2});
    try (ServerSocket full = new ServerSocket(server.getLocalPort(), 1, first);
        Socket one = new Socket(first, full.getLocalPort());
        Socket two = new Socket(first, full.getLocalPort())) {
      assertThat(one.isConnected() && two.isConnected()).isTrue();
      Attempt attempt = attempt();
      HttpHost host = new HttpHost("http", "two.example", server.getLocalPort());
      ManagedHttpClientConnection connection = connection();
      OtherThread other =
          new OtherThread(() -> connect(attempt, connection, host, twoAddresses(() -> {})));
      other.awaitWaiting();
      attempt.abort("enough");

      assertThat(other.end()).isInstanceOf(IOException.class).hasMessageContaining("enough");
      server.setSoTimeout(1);
      assertThatThrownBy(server::accept).isInstanceOf(SocketTimeoutException.class);
    }
  }

  /** Connects where a SOCKS proxy is to be used, and gives the first byte that the proxy got. */
  private int firstByteAtTheProxy() throws Exception {
    AtomicReference<Integer> version = new AtomicReference<>();
    OtherThread proxy =
        new OtherThread(
            () -> {
              try (Socket accepted = server.accept()) {
                version.set(accepted.getInputStream().read());
              }
            });
    // No need to close it, as it will have no socket.
    ManagedHttpClientConnection connection = connection();
    HttpHost host = new HttpHost("http", "203.0.113.1", 80);
    assertThatThrownBy(
            () -> connect(attempt(), connection, host, SystemDefaultDnsResolver.INSTANCE))
        .isInstanceOf(IOException.class);
    assertThat(proxy.end()).isNull();
    return version.get();
  }

  @Test
  void connector_inAJvmThatUsesASocksProxy_goesThroughThat() throws Exception {
    System.setProperty("socksProxyHost", "127.0.0.1");
    System.setProperty("socksProxyPort", Integer.toString(server.getLocalPort()));
    try {
      assertThat(firstByteAtTheProxy()).isEqualTo(5); // RFC 1928, section 3
    } finally {
      System.clearProperty("socksProxyHost");
      System.clearProperty("socksProxyPort");
    }
  }

  @Test
  void connector_inAProgramThatChoosesASocksProxy_goesThroughThat() throws Exception {
    ProxySelector before = ProxySelector.getDefault();
    ProxySelector.setDefault(
        new ProxySelector() {
          @Override
          public List<Proxy> select(URI uri) {
            return uri.getScheme().equals("socket") && uri.getHost().equals("203.0.113.1")
                ? List.of(new Proxy(Proxy.Type.SOCKS, server.getLocalSocketAddress()))
                : List.of(Proxy.NO_PROXY);
          }

          @Override
          public void connectFailed(URI uri, SocketAddress address, IOException e) {}
        });
    try {
      assertThat(firstByteAtTheProxy()).isEqualTo(5);
    } finally {
      ProxySelector.setDefault(before);
    }
  }
}
