/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import java.nio.file.Path;

/**
 * Serves a file, to measure the server by itself, or writable memory, to try clients on: {@code
 * IMAGE|memory SOCKET [sendfile]}.
 */
final class MappedFileServer {

  private MappedFileServer() {}

  public static void main(String[] args) throws Exception {
    BlockDevice device =
        args[0].equals("memory")
            ? new MemoryDevice(16 << 20)
            : new MappedFileDevice(Path.of(args[0]), args.length > 2);
    NbdServer server =
        NbdServer.start(
            NbdServerConfig.builder()
                .listen("unix:" + args[1])
                .export(new NbdExport("", device))
                .build());
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  try {
                    server.close();
                  } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                  }
                }));
    System.out.println("ready " + server.places());
    server.await();
  }
}
