/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import java.nio.charset.StandardCharsets;
import java.util.Objects;

/**
 * A device that is offered by name.
 *
 * @param name what a client asks for; may be empty
 * @param device what is offered; stays the caller's, who closes it after the server
 * @param description shown to humans; empty if there is none
 * @since 0.1
 */
public record NbdExport(String name, BlockDevice device, String description) {

  /**
   * Checks the strings.
   *
   * @param name see the record
   * @param device see the record
   * @param description see the record
   * @throws IllegalArgumentException if a string is longer than 4096 bytes or has a NUL
   */
  public NbdExport {
    Objects.requireNonNull(device, "device");
    check("name", name);
    check("description", description);
  }

  /**
   * Makes an export without a description.
   *
   * @param name what a client asks for; may be empty
   * @param device what is offered; stays the caller's
   */
  public NbdExport(String name, BlockDevice device) {
    this(name, device, "");
  }

  private static void check(String what, String value) {
    if (value.getBytes(StandardCharsets.UTF_8).length > Nbd.MAX_STRING_BYTES
        || value.indexOf('\0') >= 0) {
      throw new IllegalArgumentException(
          "no export " + what + ", longer than 4096 bytes or with a NUL: length=" + value.length());
    }
  }
}
