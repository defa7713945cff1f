/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples.join;

import io.uloop.BlockSource;
import io.uloop.BlockSourceProvider;
import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.Set;

/** Opens {@code join:/path/image}; named in the jar's META-INF/services, so that it is found. */
public final class JoinedPartsProvider implements BlockSourceProvider {

  /** For the service loader. */
  public JoinedPartsProvider() {}

  @Override
  public Set<String> schemes() {
    return Set.of("join");
  }

  @Override
  public BlockSource open(URI uri, SourceOptions options) throws IOException {
    if (uri.getPath() == null || !uri.getPath().startsWith("/")) {
      throw new IllegalArgumentException("not join:/path/of/image: " + uri);
    }
    if (options.writable()) {
      throw new SourceRefusedException(uri + " can only be read");
    }
    return JoinedParts.open(uri.toString(), Path.of(uri.getPath()));
  }
}
