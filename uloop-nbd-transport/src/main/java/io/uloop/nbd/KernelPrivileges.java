/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Says in time that a right is missing.
 *
 * <p><b>Source:</b> proc_pid_status(5), capabilities(7).
 */
final class KernelPrivileges {

  private static final int CAP_SYS_ADMIN = 21;
  private static final String EFFECTIVE = "CapEff:";

  private KernelPrivileges() {}

  /** Fails if this process may not attach devices. */
  static void check(String place) throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith(EFFECTIVE) && !hasSysAdmin(line.substring(EFFECTIVE.length()).strip())) {
        throw new IOException(
            place
                + " needs CAP_SYS_ADMIN, which this process does not have: run it as root, or"
                + " serve unix:/path and let root attach that with nbd-client or nbdfuse");
      }
    }
  }

  static boolean hasSysAdmin(String effective) {
    return (Long.parseUnsignedLong(effective, 16) & 1L << CAP_SYS_ADMIN) != 0;
  }
}
