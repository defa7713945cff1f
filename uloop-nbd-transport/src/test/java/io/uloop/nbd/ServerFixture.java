/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.assertj.core.api.Assertions;

/** A server on a unix socket of its own, and its clients; closing checks that nothing is held. */
final class ServerFixture implements Closeable {

  final NbdServer server;
  final MemoryDevice device;
  private final Path folder;
  private final List<NbdTestClient> clients = new ArrayList<>();

  ServerFixture(MemoryDevice device) throws IOException {
    this(device, config -> {});
  }

  ServerFixture(MemoryDevice device, Consumer<NbdServerConfig.Builder> settings)
      throws IOException {
    this.device = device;
    folder = Files.createTempDirectory("nbd");
    NbdServerConfig.Builder config = NbdServerConfig.builder().listen("unix:" + folder + "/s");
    config.export(new NbdExport("disk", device, "a disk"));
    settings.accept(config);
    server = NbdServer.start(config.build());
  }

  NbdTestClient connect() throws IOException {
    NbdTestClient client = NbdTestClient.connect(server);
    clients.add(client);
    return client;
  }

  /** Connects and enters transmission. */
  NbdTestClient go(int mode, String... contexts) throws IOException {
    return connect().hello().go(mode, "disk", contexts);
  }

  /** Compares without boxing every byte, unlike AssertJ. */
  static void assertSame(byte[] actual, byte[] expected) {
    Assertions.assertThat(Arrays.mismatch(actual, expected)).as("first difference").isEqualTo(-1);
  }

  /** Waits for something that another thread brings about. */
  static void await(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + 10_000_000_000L;
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("did not happen: " + what);
      }
      LockSupport.parkNanos(200_000);
    }
  }

  @Override
  public void close() throws IOException {
    for (NbdTestClient client : clients) {
      client.close();
    }
    device.close();
    server.close();
    await("all memory is back", () -> server.heldBytes() == 0 && server.connections() == 0);
    Assertions.assertThat(Files.list(folder)).isEmpty();
    Files.delete(folder);
  }
}
