/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import jdk.net.ExtendedSocketOptions;
import org.apache.hc.client5.http.impl.io.ManagedHttpClientConnectionFactory;
import org.apache.hc.client5.http.io.ManagedHttpClientConnection;
import org.apache.hc.core5.http.HttpHost;
import org.apache.hc.core5.http.io.SocketConfig;
import org.apache.hc.core5.http.protocol.HttpCoreContext;
import org.apache.hc.core5.util.Timeout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

@org.junit.jupiter.api.Timeout(value = 60, threadMode = ThreadMode.SEPARATE_THREAD)
@EnabledOnOs(OS.LINUX)
class PromptSocketTest {

  private static final int EXCHANGES = 10;

  /** Whether acknowledgements are prompt after some requests and answers. */
  private static boolean prompt(ServerSocket server, Socket client) throws IOException {
    client.connect(server.getLocalSocketAddress());
    try (Socket accepted = server.accept()) {
      for (int i = 0; i < EXCHANGES; i++) {
        client.getOutputStream().write(new byte[] {1, 2, 3, 4}, 1, 2);
        assertThat(accepted.getInputStream().readNBytes(2)).containsExactly(2, 3);
        accepted.getOutputStream().write(new byte[100]);
        assertThat(client.getInputStream().readNBytes(100)).hasSize(100);
      }
      client.getOutputStream().write(new byte[1]);
      return client.getOption(ExtendedSocketOptions.TCP_QUICKACK);
    }
  }

  @Test
  void requestsAndAnswers_doNotMakeAcknowledgementsWait() throws IOException {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Socket usual = new Socket();
        Socket socket = new PromptSocket()) {
      assertThat(prompt(server, socket)).isTrue();
      assumeFalse(prompt(server, usual), "this kernel is prompt anyway");
    }
  }

  @Test
  void connector_withoutUnixSocket_makesPromptSockets() throws IOException {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        ManagedHttpClientConnection connection =
            ManagedHttpClientConnectionFactory.INSTANCE.createConnection(null)) {
      new Connector(null)
          .createConnectionOperator(
              host -> server.getLocalPort(),
              org.apache.hc.client5.http.SystemDefaultDnsResolver.INSTANCE,
              (socket, target, port, attachment, context) -> {
                throw new AssertionError("no TLS here");
              })
          .connect(
              connection,
              new HttpHost("http", "localhost", server.getLocalPort()),
              null,
              null,
              Timeout.ofSeconds(10),
              SocketConfig.DEFAULT,
              null,
              HttpCoreContext.create());

      assertThat(connection.getSocket()).isInstanceOf(PromptSocket.class);
      assertThat(connection.getRemoteAddress())
          .isEqualTo(new InetSocketAddress(server.getInetAddress(), server.getLocalPort()));
    }
  }
}
