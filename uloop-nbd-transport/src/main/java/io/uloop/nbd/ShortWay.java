/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A way to a socket's path that is short enough for the JDK: the path itself, or one through a link
 * to its folder, which lives until this is closed.
 *
 * <p>The kernel takes 107 bytes and a zero, the JDK one less; and a socket that is born in a folder
 * of its own has a longer path there than in its place.
 */
final class ShortWay implements Closeable {

  /** What {@code UnixDomainSockets} of the JDK takes on Linux. */
  private static final int MAX_BYTES = 106;

  private final Path path;

  /** The folder of the link, if one is needed. */
  private final @Nullable Path folder;

  private ShortWay(Path path, @Nullable Path folder) {
    this.path = path;
    this.folder = folder;
  }

  /** Finds a way to a path, which need not exist but whose folder must. */
  static ShortWay to(Path path) throws IOException {
    Path parent = path.getParent();
    Path name = path.getFileName();
    int bytes = path.toString().getBytes(StandardCharsets.UTF_8).length;
    if (bytes <= MAX_BYTES || parent == null || name == null) {
      return new ShortWay(path, null);
    }
    Path folder = Files.createTempDirectory("n");
    try {
      Path link = Files.createSymbolicLink(folder.resolve("d"), parent.toAbsolutePath());
      return new ShortWay(link.resolve(name), folder);
    } catch (IOException | RuntimeException e) {
      Files.deleteIfExists(folder);
      throw e;
    }
  }

  UnixDomainSocketAddress address() {
    return UnixDomainSocketAddress.of(path);
  }

  @Override
  public void close() throws IOException {
    Path own = folder;
    if (own != null) {
      Files.deleteIfExists(own.resolve("d"));
      Files.deleteIfExists(own);
    }
  }
}
