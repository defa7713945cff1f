/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.net.Socket;
import javax.net.ssl.SSLSocket;
import org.apache.hc.client5.http.ssl.DefaultClientTlsStrategy;
import org.apache.hc.client5.http.ssl.TlsSocketStrategy;
import org.apache.hc.core5.http.protocol.HttpContext;
import org.jspecify.annotations.Nullable;

/** Begins TLS; loads trust and keys with the first connection that needs them, not before. */
final class LazyTls implements TlsSocketStrategy {

  private @Nullable TlsSocketStrategy loaded;

  @Override
  public SSLSocket upgrade(
      Socket socket, String target, int port, @Nullable Object attachment, HttpContext context)
      throws IOException {
    return loaded().upgrade(socket, target, port, attachment, context);
  }

  private synchronized TlsSocketStrategy loaded() {
    TlsSocketStrategy strategy = loaded;
    if (strategy == null) {
      strategy = DefaultClientTlsStrategy.createDefault();
      loaded = strategy;
    }
    return strategy;
  }
}
