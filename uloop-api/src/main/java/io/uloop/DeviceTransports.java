/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Finds the transport of a place. One that cannot be loaded, or fails to say what it accepts, is
 * left out and named in the log.
 *
 * <p><b>Threads:</b> safe for any.
 *
 * @since 0.1
 */
public final class DeviceTransports {

  private DeviceTransports() {}

  /**
   * Offers a device with the one transport that accepts the place.
   *
   * @param device what to offer
   * @param place where
   * @param properties settings of the transport
   * @return what was attached; the caller closes it
   * @throws IllegalArgumentException if no transport, or more than one, accepts the place; the
   *     message names those that are there and those that were left out
   * @throws IOException as {@link DeviceTransport#attach}
   */
  public static DeviceTransport.Attachment attach(
      BlockDevice device, String place, Map<String, String> properties) throws IOException {
    return of(place).attach(device, place, properties);
  }

  /**
   * Asks the one transport that accepts the place what it would refuse, before there is a device.
   *
   * @param place where
   * @param properties settings of the transport
   * @throws IllegalArgumentException if no transport, or more than one, accepts the place, or a
   *     property makes no sense
   * @throws IOException as {@link DeviceTransport#check}
   */
  public static void check(String place, Map<String, String> properties) throws IOException {
    of(place).check(place, properties);
  }

  private static DeviceTransport of(String place) {
    ClassLoader own = DeviceTransports.class.getClassLoader();
    return of(place, own != null ? own : ClassLoader.getSystemClassLoader());
  }

  /** Finds it in the given class loader and its parents. */
  static DeviceTransport of(String place, ClassLoader loader) {
    List<String> known = new ArrayList<>();
    List<DeviceTransport> fit = new ArrayList<>();
    Plugins plugins =
        Plugins.each(
            DeviceTransport.class,
            loader,
            transport -> {
              if (transport.accepts(place)) {
                fit.add(transport);
              }
              known.add(transport.getClass().getName());
            });
    if (fit.size() == 1) {
      return fit.get(0);
    }
    throw plugins.tell(
        new IllegalArgumentException(
            (fit.isEmpty() ? "no transport" : "more than one transport")
                + " for '"
                + place
                + "'; there are "
                + String.join(", ", known)
                + plugins.leftOut()));
  }
}
