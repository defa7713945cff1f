/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.net.URI;
import java.util.Set;

/**
 * Opens sources of one or more URI schemes; found with {@link java.util.ServiceLoader}.
 *
 * <p>A provider is declared in {@code module-info} ({@code provides io.uloop.BlockSourceProvider
 * with …}) and in {@code META-INF/services/io.uloop.BlockSourceProvider}, so that the module path
 * and the class path both find it. It has a public constructor without parameters that does
 * nothing.
 *
 * <p><b>Threads:</b> may be called from several threads at once.
 *
 * @since 0.1
 */
public interface BlockSourceProvider {

  /**
   * Gives the URI schemes that this provider opens.
   *
   * @return one or more schemes in lower case, without the colon
   */
  Set<String> schemes();

  /**
   * Opens a source.
   *
   * <p>What was opened on the way is closed again if this fails.
   *
   * @param uri the place, its scheme one of {@link #schemes}
   * @param options timeout, whether it shall be writable, and properties of this scheme
   * @return the source; the caller closes it
   * @throws IllegalArgumentException if the URI or a property makes no sense; the message names it
   * @throws SourceUnavailableException if the place cannot be reached
   * @throws SourceRefusedException if the place cannot serve as a source, for good
   * @throws IOException if it fails otherwise
   */
  BlockSource open(URI uri, SourceOptions options) throws IOException;
}
