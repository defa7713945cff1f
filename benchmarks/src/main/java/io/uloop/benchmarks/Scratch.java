/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.core.CachePair;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A directory for one benchmark's pair, removed afterwards. */
final class Scratch implements AutoCloseable {

  private final Path directory;

  Scratch() throws IOException {
    directory = Files.createTempDirectory("uloop-bench");
  }

  CachePair pair() {
    return new CachePair(directory.resolve("c"), directory.resolve("b"));
  }

  /** Removes the files but not the directory. */
  void clear() throws IOException {
    try (var files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
  }

  @Override
  public void close() throws IOException {
    clear();
    Files.delete(directory);
  }
}
