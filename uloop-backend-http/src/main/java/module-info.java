/* SPDX-License-Identifier: Apache-2.0 */
/** The source behind {@code http:}, {@code https:} and {@code s3:} URLs. */
@org.jspecify.annotations.NullMarked
module io.uloop.http {
  requires transitive io.uloop;
  requires static org.jspecify;
  requires jdk.net;
  requires org.apache.httpcomponents.client5.httpclient5;
  requires org.apache.httpcomponents.core5.httpcore5;
  // HttpClient needs it; its jar is an automatic module and cannot say so.
  requires org.slf4j;

  exports io.uloop.http;

  provides io.uloop.BlockSourceProvider with
      io.uloop.http.HttpSourceProvider;
}
