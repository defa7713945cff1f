/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.util.concurrent.Executor;

/**
 * What all connections of a server share; every part is safe for any thread.
 *
 * @param config what is offered
 * @param budget the memory of requests
 * @param workers run what may block: writes, flushes, block status, TLS handshakes
 */
record ServerState(NbdServerConfig config, MemoryBudget budget, Executor workers) {
  NbdLimits limits() {
    return config.limits();
  }
}
