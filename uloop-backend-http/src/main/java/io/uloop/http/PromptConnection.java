/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import org.apache.hc.client5.http.impl.io.DefaultHttpResponseParserFactory;
import org.apache.hc.client5.http.impl.io.DefaultManagedHttpClientConnection;
import org.apache.hc.core5.http.config.Http1Config;
import org.apache.hc.core5.io.CloseMode;

/**
 * A connection that is never closed at leisure.
 *
 * <p>HttpClient closes one whose answer it does not understand, by {@link #close()}. Under TLS the
 * JDK's socket then reads on, to the end of the record, as long as the socket's timeout allows; and
 * as the connection counts as closed already, nobody can end that.
 */
final class PromptConnection extends DefaultManagedHttpClientConnection {

  PromptConnection(Http1Config limits) {
    super(
        "http", // what HttpClient's log calls it
        null,
        null,
        limits,
        null,
        null,
        null,
        new DefaultHttpResponseParserFactory(limits));
  }

  @Override
  public void close() {
    close(CloseMode.IMMEDIATE);
  }
}
