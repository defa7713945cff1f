/* SPDX-License-Identifier: Apache-2.0 */
/** The read-through engine of uloop. */
@org.jspecify.annotations.NullMarked
module io.uloop.core {
  requires transitive io.uloop;
  requires com.github.benmanes.caffeine;
  requires com.sun.jna;
  requires io.netty.buffer;
  requires io.netty.common;
  requires static com.google.errorprone.annotations;
  requires static transitive org.jspecify;

  exports io.uloop.core;
}
