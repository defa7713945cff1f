/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import io.uloop.BlockSource;
import io.uloop.BlockSourceProvider;
import io.uloop.SourceOptions;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Set;

/**
 * Opens {@code file:/path} and {@code dev:/path}; the latter only if it is a block device.
 *
 * <p>There are no properties: one that begins with {@code file.} or {@code dev.} is an error, and
 * those of other schemes are left alone.
 *
 * @since 0.1
 */
public final class FileBlockSourceProvider implements BlockSourceProvider {

  /** For the service loader. */
  public FileBlockSourceProvider() {}

  @Override
  public Set<String> schemes() {
    return Set.of("file", "dev");
  }

  @Override
  public BlockSource open(URI uri, SourceOptions options) throws IOException {
    for (String name : options.properties().keySet()) {
      if (name.startsWith("file.") || name.startsWith("dev.")) {
        throw new IllegalArgumentException("unknown property " + name + "; there are none");
      }
    }
    Path path = path(uri);
    boolean mustBeDevice = uri.getScheme().toLowerCase(Locale.ROOT).equals("dev");
    return FileBlockSource.open(path, mustBeDevice, options.writable());
  }

  private static Path path(URI uri) {
    String host = uri.getRawAuthority();
    boolean local = host == null || host.equals("localhost");
    String path = uri.getPath();
    if (!local
        || path == null
        || !path.startsWith("/")
        || uri.getRawQuery() != null
        || uri.getRawFragment() != null) {
      throw new IllegalArgumentException(
          "not the URI of a local file: " + uri + "; it looks like " + uri.getScheme() + ":/path");
    }
    return Path.of(path);
  }
}
