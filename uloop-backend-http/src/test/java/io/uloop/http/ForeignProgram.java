/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Assumptions;

/** A server that others wrote, as a process of its own. */
final class ForeignProgram implements AutoCloseable {

  private final List<String> command;
  private final Path log;
  private final int port;
  private Process process;

  private ForeignProgram(Path directory, int port, List<String> command) throws IOException {
    this.command = command;
    this.port = port;
    this.log = Files.createTempFile(directory, "log", ".txt");
    start();
  }

  /** Finds a port that is free just now. */
  static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }

  /** Skips the test, and says so, if a program is not installed. */
  static String need(String program) {
    for (String directory : List.of("/usr/sbin", "/usr/bin", "/usr/local/bin", "/sbin", "/bin")) {
      Path path = Path.of(directory, program);
      if (Files.isExecutable(path)) {
        return path.toString();
      }
    }
    System.out.println("skipped: " + program + " is not installed");
    Assumptions.abort(program + " is not installed");
    throw new AssertionError();
  }

  /** Starts one and waits until it listens. */
  static ForeignProgram run(Path directory, int port, String... command) throws IOException {
    ForeignProgram program = new ForeignProgram(directory, port, List.of(command));
    program.awaitPort();
    return program;
  }

  void start() throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
    builder.environment().put("HOME", log.getParent().toString());
    builder.environment().put("XDG_DATA_HOME", log.getParent().toString());
    builder.environment().put("XDG_CONFIG_HOME", log.getParent().toString());
    process = builder.start();
  }

  void awaitPort() throws IOException {
    long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
    while (true) {
      try (Socket socket = new Socket()) {
        socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 1000);
        return;
      } catch (IOException e) {
        assertThat(process.isAlive() && System.nanoTime() < until)
            .as(command + ": " + Files.readString(log))
            .isTrue();
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
      }
    }
  }

  /** Sends it a signal, such as STOP. */
  void signal(String name) throws Exception {
    // The shell's own, as the program of that name need not be installed.
    String command = "kill -" + name + " " + process.pid();
    assertThat(new ProcessBuilder("sh", "-c", command).start().waitFor()).isZero();
  }

  void stop() {
    process.destroy();
    try {
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    stop();
  }
}
