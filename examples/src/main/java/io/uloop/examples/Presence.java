/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.ByteRange;
import io.uloop.core.CachedDevice;
import java.util.Optional;

/** Counts to the byte what is present; a device's counter rounds up to blocks. */
final class Presence {

  private Presence() {}

  static long presentBytes(CachedDevice device) {
    long sum = 0;
    Optional<ByteRange> run = device.nextPresent(0);
    while (run.isPresent()) {
      sum += run.get().length();
      run = device.nextPresent(run.get().end());
    }
    return sum;
  }

  static long absentBytes(CachedDevice device) {
    return device.size() - presentBytes(device);
  }
}
