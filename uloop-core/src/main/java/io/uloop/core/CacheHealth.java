/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.concurrent.TimeUnit;

/**
 * Whether the cache volume takes and gives bytes.
 *
 * <pre>
 *   WELL --a step on the cache file failed--> FAILING --{@link #PAUSE_NANOS} without another--> tried again
 *   FAILING --a store succeeded--> WELL
 * </pre>
 *
 * While it is failing nothing is stored, nothing is asked of the source but what readers wait for,
 * and they get it straight from the fetch. Each turn is logged once.
 *
 * <p><b>Threads:</b> any; a race costs one try more or less.
 */
final class CacheHealth {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");
  private static final long PAUSE_NANOS = TimeUnit.SECONDS.toNanos(2);

  private final Object name;
  private volatile boolean failing;
  private volatile long failedAt;

  CacheHealth(Object name) {
    this.name = name;
  }

  /** Whether it failed a moment ago, so that it is not worth trying. */
  boolean isFailing() {
    return failing && System.nanoTime() - failedAt < PAUSE_NANOS;
  }

  /** Whether what is stored next will very likely stay: it did not fail, or succeeded since. */
  boolean isWell() {
    return !failing;
  }

  void failed(IOException cause) {
    failedAt = System.nanoTime();
    if (!failing) {
      failing = true;
      LOG.log(Level.WARNING, "{0}; reads pass through to the source", cause.getMessage());
    }
  }

  void succeeded() {
    if (failing) {
      failing = false;
      LOG.log(Level.INFO, "{0}: storing blocks again", name);
    }
  }
}
