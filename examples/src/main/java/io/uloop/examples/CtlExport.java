/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.core.CachePair;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code uloctl export}: writes the image out. */
@Command(
    name = "export",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = {
      "Writes the whole image to a file, sparse where it is zero, or to standard output.",
      "What is absent is fetched if the URL is given, and kept in the pair."
    })
final class CtlExport implements Callable<Integer> {

  @Mixin CtlPair options = new CtlPair();

  @Option(
      names = "--to",
      required = true,
      paramLabel = "file",
      description = "where to; - for standard output. A file is there when it is whole")
  String target = "";

  @Option(names = "--overwrite", description = "replace the file if it is there")
  boolean overwrite;

  @Override
  public Integer call() throws IOException {
    try (CachedDevice device =
        options.place == null ? options.openToLook() : options.openWithSource()) {
      long absent = Presence.absentBytes(device);
      if (options.place == null && absent > 0) {
        throw new IOException(absent + " bytes are absent; name the URL to have them fetched");
      }
      Thread thread = Thread.currentThread();
      Signals.onStopOnce(thread::interrupt);
      try {
        ImageCopy copy = new ImageCopy(device);
        if (target.equals("-")) {
          copy.toStandardOutput();
        } else {
          refuseOwnFile(Path.of(target));
          copy.to(Path.of(target), overwrite);
        }
      } catch (InterruptedIOException e) {
        throw new IOException("stopped before all was written", e);
      } finally {
        // Closing the device makes what was fetched durable, and is not to be cut short.
        Thread.interrupted();
      }
    }
    return LaunchCommand.EXIT_OK;
  }

  /** The pair is open: its files are there. */
  private void refuseOwnFile(Path file) throws IOException {
    CachePair pair = options.pair();
    for (Path own :
        List.of(pair.cacheFile(), pair.bitmapFile(), pair.sidecarFile(), pair.checksumFile())) {
      if (Files.exists(file) && Files.exists(own) && Files.isSameFile(file, own)) {
        throw new IllegalArgumentException(
            file + " is " + own + ", a file of the pair that is exported; write elsewhere");
      }
    }
  }
}
