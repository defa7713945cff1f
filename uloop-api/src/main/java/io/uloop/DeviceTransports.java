/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/**
 * Finds the transport of a place.
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
   * @throws IllegalArgumentException if no transport, or more than one, accepts the place
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
    List<DeviceTransport> all =
        ServiceLoader.load(
                DeviceTransport.class, own != null ? own : ClassLoader.getSystemClassLoader())
            .stream()
            .map(ServiceLoader.Provider::get)
            .toList();
    List<DeviceTransport> fit = all.stream().filter(t -> t.accepts(place)).toList();
    if (fit.size() != 1) {
      throw new IllegalArgumentException(
          (fit.isEmpty() ? "no transport" : "more than one transport")
              + " for '"
              + place
              + "'; there are "
              + all.stream().map(t -> t.getClass().getName()).collect(Collectors.joining(", ")));
    }
    return fit.get(0);
  }
}
