/* SPDX-License-Identifier: Apache-2.0 */
/** Image files and raw block devices as sources of uloop. */
@org.jspecify.annotations.NullMarked
module io.uloop.blockdev {
  requires transitive io.uloop;
  requires com.sun.jna;
  requires static transitive org.jspecify;

  exports io.uloop.blockdev;

  provides io.uloop.BlockSourceProvider with
      io.uloop.blockdev.FileBlockSourceProvider;
}
