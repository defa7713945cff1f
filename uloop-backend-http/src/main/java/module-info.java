/* SPDX-License-Identifier: Apache-2.0 */
/** The source behind {@code http:} and {@code https:} URLs. */
@org.jspecify.annotations.NullMarked
module io.uloop.http {
  requires transitive io.uloop;
  requires static org.jspecify;
  requires org.apache.httpcomponents.client5.httpclient5;
  requires org.apache.httpcomponents.core5.httpcore5;

  exports io.uloop.http;

  provides io.uloop.BlockSourceProvider with
      io.uloop.http.HttpSourceProvider;
}
