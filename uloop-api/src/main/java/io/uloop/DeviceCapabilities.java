/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

/**
 * What a device can do; asked once, then constant.
 *
 * @param writable whether {@link BlockDevice#write} works, and with it trim and zero where stated
 * @param canTrim whether {@link BlockDevice#trim} frees anything
 * @param canZero whether {@link BlockDevice#zero} works
 * @param canFastZero whether {@link BlockDevice#zero} may be asked to be faster than a write
 * @param rotational whether seeks are dear
 * @param minimumBlockBytes the alignment that reads and writes need, a power of two; 1 if none
 * @param preferredBlockBytes the size that reads and writes best have, a power of two
 * @since 0.1
 */
public record DeviceCapabilities(
    boolean writable,
    boolean canTrim,
    boolean canZero,
    boolean canFastZero,
    boolean rotational,
    int minimumBlockBytes,
    int preferredBlockBytes) {

  /**
   * Checks the sizes.
   *
   * @param writable see the record
   * @param canTrim see the record
   * @param canZero see the record
   * @param canFastZero see the record
   * @param rotational see the record
   * @param minimumBlockBytes see the record
   * @param preferredBlockBytes see the record
   * @throws IllegalArgumentException if one is no power of two, or the preferred is the smaller
   */
  public DeviceCapabilities {
    if (Integer.bitCount(minimumBlockBytes) != 1
        || Integer.bitCount(preferredBlockBytes) != 1
        || minimumBlockBytes < 1
        || preferredBlockBytes < minimumBlockBytes) {
      throw new IllegalArgumentException(
          "not block sizes: minimum=" + minimumBlockBytes + " preferred=" + preferredBlockBytes);
    }
  }

  /**
   * Gives those of a read-only device without alignment.
   *
   * @param preferredBlockBytes the size that reads best have
   * @return the capabilities
   */
  public static DeviceCapabilities readOnly(int preferredBlockBytes) {
    return new DeviceCapabilities(false, false, false, false, false, 1, preferredBlockBytes);
  }
}
