/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.Closeable;
import java.io.IOException;
import java.util.Map;

/**
 * Offers devices to the world outside the JVM; found with {@link java.util.ServiceLoader}.
 *
 * <p>Declared like a {@link BlockSourceProvider}, in {@code module-info} and in {@code
 * META-INF/services}.
 *
 * @since 0.1
 */
public interface DeviceTransport {

  /**
   * Tells whether this transport knows a kind of place.
   *
   * @param place for example {@code unix:/run/a.sock}, {@code tcp:127.0.0.1:10809}, {@code
   *     /dev/nbd0}
   * @return whether {@link #attach} takes it
   */
  boolean accepts(String place);

  /**
   * Says what {@link #attach} would refuse of a place, before there is a device to offer.
   *
   * <p>For programs that would otherwise make files or open a source in vain. Changes nothing that
   * lasts; what it lets pass may still be refused by {@link #attach}.
   *
   * @param place where, one that {@link #accepts} takes
   * @param properties settings, as for {@link #attach}
   * @throws IllegalArgumentException if the place or a property makes no sense
   * @throws IOException if nothing can be offered there as things are
   */
  default void check(String place, Map<String, String> properties) throws IOException {}

  /**
   * Offers a device at a place; returns when it is served.
   *
   * @param device what to offer; stays the caller's, who closes it after the attachment
   * @param place where, one that {@link #accepts} takes
   * @param properties settings as the transport documents them; an unknown one is an error
   * @return what was attached; the caller closes it
   * @throws IllegalArgumentException if the place or a property makes no sense
   * @throws IOException if it cannot be offered there; nothing is left behind
   */
  Attachment attach(BlockDevice device, String place, Map<String, String> properties)
      throws IOException;

  /** A device that is being offered. */
  interface Attachment extends Closeable {

    /**
     * Gives the place as it came out, for example with the port that the system chose.
     *
     * @return what a reader uses
     */
    String place();

    /**
     * Waits until the attachment ends, by {@link #close} or from outside (a detached device).
     *
     * @throws InterruptedException if the thread is interrupted
     * @throws IOException why it ended, if it failed
     */
    void await() throws InterruptedException, IOException;

    /**
     * Detaches cleanly: requests that run are answered, then the place is gone.
     *
     * <p>Idempotent, and safe from any thread.
     *
     * @throws DeviceInUseException if somebody uses the device: it stays attached, and the next
     *     call forces it
     * @throws IOException if something could not be undone; it is detached all the same
     */
    @Override
    void close() throws IOException;
  }
}
