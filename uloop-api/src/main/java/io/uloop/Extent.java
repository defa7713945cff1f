/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.util.Objects;

/**
 * A run of bytes of one kind, as a device or a source knows it.
 *
 * @param range the bytes
 * @param present whether a device has them locally; a source always says {@code true}
 * @param zero whether they are known to read as zeroes (a hole); {@code false} means "not known"
 * @since 0.1
 */
public record Extent(ByteRange range, boolean present, boolean zero) {

  /**
   * Checks that there is a range.
   *
   * @param range see the record
   * @param present see the record
   * @param zero see the record
   */
  public Extent {
    Objects.requireNonNull(range, "range");
  }
}
