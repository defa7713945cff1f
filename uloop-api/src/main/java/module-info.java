/* SPDX-License-Identifier: Apache-2.0 */
/** Sources, devices, value types and errors of uloop. */
@org.jspecify.annotations.NullMarked
module io.uloop {
  requires static transitive org.jspecify;

  exports io.uloop;

  uses io.uloop.BlockSourceProvider;
  uses io.uloop.DeviceTransport;
}
