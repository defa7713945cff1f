/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import jdk.net.ExtendedSocketOptions;

/**
 * A socket that acknowledges an answer's bytes when they are read.
 *
 * <p>To Linux, requests and answers look like an interactive session, in which it keeps
 * acknowledgements back for some 40 ms, so that they can go with what is sent next. A server that
 * waits for one before it sends on (its window is small yet; or it sends as fast as it was
 * acknowledged, as BBR does) waits so long as well. {@code TCP_QUICKACK} ends that mode, and the
 * next request begins it again: so it is set after each. RFC 1122, section 4.2.3.2, allows to delay
 * an acknowledgement, and asks for none.
 *
 * <p><b>Source:</b> tcp(7).
 */
final class PromptSocket extends Socket {

  private final boolean prompt = supportedOptions().contains(ExtendedSocketOptions.TCP_QUICKACK);

  @Override
  public OutputStream getOutputStream() throws IOException {
    OutputStream plain = super.getOutputStream();
    return prompt ? new Requests(plain) : plain;
  }

  private final class Requests extends FilterOutputStream {

    Requests(OutputStream plain) {
      super(plain);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      out.write(bytes, offset, length); // the superclass writes byte by byte
      try {
        setOption(ExtendedSocketOptions.TCP_QUICKACK, true);
      } catch (IOException e) {
        // Closed just now; who reads is told.
        return;
      }
    }
  }
}
