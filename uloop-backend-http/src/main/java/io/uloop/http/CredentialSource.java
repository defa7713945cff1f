/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.util.Optional;

/**
 * Gives credentials, and new ones when the old ones are no longer good.
 *
 * <p><b>Threads:</b> called from any thread that reads or opens, one at a time per source; it may
 * block, and the read that needs it waits.
 *
 * @since 0.1
 */
@FunctionalInterface
public interface CredentialSource {

  /**
   * Gives the credentials for the URL's own origin; they are sent nowhere else.
   *
   * @param renew whether the server refused those given before
   * @return the credentials; empty to send none
   * @throws IOException if they cannot be had now
   */
  Optional<HttpCredentials> credentials(boolean renew) throws IOException;
}
