/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.DeviceTransport.Attachment;
import io.uloop.DeviceTransports;
import io.uloop.nbd.KernelDevices;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code uloctl attach}: makes an NBD export a kernel device. */
@Command(
    name = "attach",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Makes what an NBD server offers on a unix socket a device of the kernel, and looks after it",
      "until it is stopped, as ulohttp does. Needs CAP_SYS_ADMIN; the server does not."
    })
final class CtlAttach implements Callable<Integer> {

  private static final String UNIX = "unix:";

  private final PrintStream out;
  private final PrintStream err;

  @Parameters(
      index = "0",
      paramLabel = "unix:/path",
      description = "the socket where the server listens")
  String server = "";

  @Parameters(
      index = "1",
      paramLabel = "device",
      description = "/dev/nbdN or /dev/loopN, without N the next free one")
  String device = "";

  @Option(names = "--export", paramLabel = "name", description = "which export (default: '')")
  String export = "";

  @Option(
      names = "-o",
      paramLabel = "key=value",
      description = "property of the device, as for ulohttp; repeatable")
  Map<String, String> properties = new LinkedHashMap<>();

  CtlAttach(PrintStream out, PrintStream err) {
    this.out = out;
    this.err = err;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    if (!server.startsWith(UNIX)) {
      throw new IllegalArgumentException(
          "the kernel is given a unix socket, unix:/path, not " + server);
    }
    if (!device.startsWith("/dev/")) {
      throw new IllegalArgumentException("no kernel device: " + device);
    }
    Map<String, String> given = new LinkedHashMap<>(properties);
    // Started again after a crash, it takes its device over.
    Path socket = Path.of(server.substring(UNIX.length())).toAbsolutePath();
    given.putIfAbsent("identifier", "uloop:" + socket + ":" + export);
    try (Serving serving = new Serving(CtlCommand.NAME, out, err)) {
      DeviceTransports.check(device, given);
      // What the kernel reads meanwhile is the server's to answer, so nothing can be hastened.
      Optional<Attachment> attachment =
          serving.attach(device, true, () -> KernelDevices.attach(socket, export, device, given));
      if (attachment.isPresent()) {
        serving.ready(attachment.get(), size(attachment.get().place()));
      }
      return serving.await();
    }
  }

  private static long size(String place) throws IOException {
    return KernelDevices.list().stream()
        .filter(attached -> attached.place().equals(place))
        .mapToLong(KernelDevices.Attached::sizeBytes)
        .findFirst()
        .orElse(0);
  }
}
