/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A foreign NBD server on a unix socket, which can be killed and started again. */
final class KernelNbdkit implements Closeable {

  private final Path socket;
  private final List<String> command = new ArrayList<>();
  private Process process;

  KernelNbdkit(Path directory, String... arguments) throws IOException {
    socket = directory.resolve("nbdkit.sock");
    command.addAll(List.of("nbdkit", "-f", "-U", socket.toString()));
    command.addAll(List.of(arguments));
    start();
  }

  String socket() {
    return socket.toString();
  }

  void start() throws IOException {
    Files.deleteIfExists(socket);
    process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.INHERIT)
            .start();
    if (!KernelPoll.until(
        Duration.ofSeconds(20), () -> Files.exists(socket) || !process.isAlive())) {
      throw new IOException("nbdkit does not start: " + command);
    }
  }

  /** Kills it as SIGKILL does and waits for its end. */
  void kill() throws IOException {
    process.destroyForcibly();
    try {
      if (!process.waitFor(20, TimeUnit.SECONDS)) {
        throw new IOException("nbdkit does not end");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    }
  }

  @Override
  public void close() throws IOException {
    kill();
  }
}
