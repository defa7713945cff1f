/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockSource;
import io.uloop.BlockSourceProvider;
import io.uloop.SourceOptions;
import java.net.URI;
import java.util.Set;

/** A plug-in with a fault: its open throws an error. */
public final class OverflowingProvider implements BlockSourceProvider {

  /** Makes one; {@link java.util.ServiceLoader} does. */
  public OverflowingProvider() {}

  @Override
  public Set<String> schemes() {
    return Set.of("overflowing");
  }

  @Override
  public BlockSource open(URI uri, SourceOptions options) {
    throw new StackOverflowError("within " + uri);
  }
}
