/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/**
 * Keys of a server and of two clients, as PEM files: {@code server} and {@code alice} signed by one
 * authority, {@code mallory} by another.
 */
final class TestKeys {

  private final Path folder;

  private TestKeys(Path folder) {
    this.folder = folder;
  }

  /** Copies the keys to a folder where other programs find them too. */
  static TestKeys copyTo(Path folder) throws IOException {
    for (String who : List.of("server", "alice", "mallory")) {
      String role = who.equals("server") ? "server" : "client";
      Path own = Files.createDirectories(folder.resolve(who));
      for (String file : List.of("ca-cert.pem", role + "-cert.pem", role + "-key.pem")) {
        try (InputStream in = TestKeys.class.getResourceAsStream("/tls/" + who + "/" + file)) {
          Files.copy(Objects.requireNonNull(in, file), own.resolve(file));
        }
      }
    }
    return new TestKeys(folder);
  }

  Path folder(String name) {
    return folder.resolve(name);
  }
}
