/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.util.List;
import org.apache.hc.client5.http.impl.io.DefaultHttpResponseParserFactory;
import org.apache.hc.client5.http.impl.io.DefaultManagedHttpClientConnection;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpException;
import org.apache.hc.core5.http.ProtocolException;
import org.apache.hc.core5.http.config.Http1Config;
import org.apache.hc.core5.io.CloseMode;

/**
 * A connection that is never closed at leisure, and takes no answer that contradicts itself.
 *
 * <p>HttpClient closes one whose answer it does not understand, by {@link #close()}. Under TLS the
 * JDK's socket then reads on, to the end of the record, as long as the socket's timeout allows; and
 * as the connection counts as closed already, nobody can end that.
 *
 * <p>Of a field that an answer has twice, HttpClient gives the first, which may be the wrong one.
 */
final class PromptConnection extends DefaultManagedHttpClientConnection {

  /** An answer says two things of what it can say one of; the message may be shown. */
  static final class Contradiction extends ProtocolException {
    private static final long serialVersionUID = 1L;

    private Contradiction(String name, String one, String other) {
      super(
          "two different lines "
              + name
              + ": '"
              + Text.printable(one)
              + "' and '"
              + Text.printable(other)
              + "'");
    }
  }

  // All that is believed of an answer, but for lists (RFC 9110, section 5.3).
  private static final List<String> ONCE =
      List.of(
          "Content-Range",
          "Content-Length",
          "ETag",
          "Last-Modified",
          "Content-Encoding",
          "Content-Type",
          "Location");

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

  @Override
  public ClassicHttpResponse receiveResponseHeader() throws HttpException, IOException {
    ClassicHttpResponse answer = super.receiveResponseHeader();
    for (String name : ONCE) {
      if (answer.countHeaders(name) > 1) {
        leaveOne(answer, name);
      }
    }
    return answer;
  }

  // What is said twice is right if both are the same (RFC 9110, section 8.6, for the length).
  private static void leaveOne(ClassicHttpResponse answer, String name) throws Contradiction {
    Header[] all = answer.getHeaders(name);
    String value = value(all[0]);
    for (Header each : all) {
      if (!value(each).equals(value)) {
        throw new Contradiction(name, value, value(each));
      }
    }
    answer.removeHeaders(name);
    answer.addHeader(all[0]);
  }

  private static String value(Header header) {
    return header.getValue() == null ? "" : header.getValue().trim();
  }
}
