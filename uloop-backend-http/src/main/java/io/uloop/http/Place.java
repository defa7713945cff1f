/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.util.List;
import org.apache.hc.client5.http.HttpRoute;
import org.apache.hc.core5.http.Header;

/**
 * Where requests are sent just now: the end of a chain of redirects, with all that is the same for
 * each request.
 *
 * @param url the URL
 * @param redirected whether a redirect led here, so that going back to the first URL may help
 * @param route how to connect
 * @param absoluteForm whether the request line has the whole URL, as a proxy of plain http wants it
 *     (RFC 9112, section 3.2.2)
 * @param headers what each request carries but the range
 * @param proxyHeaders what a CONNECT request carries for the proxy
 * @param signer adds what depends on time and method
 */
record Place(
    HttpUrl url,
    boolean redirected,
    HttpRoute route,
    boolean absoluteForm,
    List<Header> headers,
    List<Header> proxyHeaders,
    Signer signer) {

  /** Signs requests. */
  @FunctionalInterface
  interface Signer {
    /**
     * Gives the headers that sign a request without a body.
     *
     * @param until when it has to give them, on the clock of System.nanoTime
     */
    List<Header> sign(String method, HttpUrl url, long until);
  }
}
