/* SPDX-License-Identifier: Apache-2.0 */
/** Offers devices over NBD, and to the Linux kernel. */
@org.jspecify.annotations.NullMarked
module io.uloop.nbd {
  requires static org.jspecify;
  requires transitive io.uloop;
  requires com.sun.jna;
}
