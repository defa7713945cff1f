/* SPDX-License-Identifier: Apache-2.0 */
/** NBD server and kernel attach. */
@org.jspecify.annotations.NullMarked
module io.uloop.nbd {
  requires transitive io.uloop;
  requires com.sun.jna;
  requires io.netty.buffer;
  requires io.netty.common;
  requires java.naming;
  requires jdk.net;
  requires static transitive org.jspecify;

  exports io.uloop.nbd;

  provides io.uloop.DeviceTransport with
      io.uloop.nbd.KernelTransport,
      io.uloop.nbd.NbdTransport;
}
