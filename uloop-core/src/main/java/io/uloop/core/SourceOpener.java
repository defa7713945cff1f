/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import java.io.IOException;

/**
 * Opens the source of a device, now or, if it was unreachable, later again.
 *
 * @since 0.1
 */
@FunctionalInterface
public interface SourceOpener {

  /**
   * Opens the source anew.
   *
   * <p><b>Threads:</b> may be called on any thread, one at a time; may block.
   *
   * @return the source; the device closes it
   * @throws io.uloop.SourceUnavailableException if it cannot be reached now
   * @throws IOException if it cannot be opened
   */
  BlockSource open() throws IOException;
}
