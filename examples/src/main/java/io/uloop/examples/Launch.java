/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockSource;
import io.uloop.BlockSources;
import io.uloop.DeviceTransport.Attachment;
import io.uloop.DeviceTransports;
import io.uloop.SourceIdentity;
import io.uloop.SourceOptions;
import io.uloop.core.CachePair;
import io.uloop.core.CachedDevice;
import io.uloop.core.WhenDifferent;
import io.uloop.http.HttpBlockSource;
import io.uloop.nbd.KernelDevices;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a launcher's command line asks for: opens the device and offers it.
 *
 * <p>{@link Serving} has what follows: waiting, counting, stopping.
 */
final class Launch {

  private static final long KERNEL_SLACK_SECONDS = 10;

  private final String program;
  private final LaunchOptions command;

  /** The thread that opens the device, until it has. */
  private volatile @Nullable Thread opening;

  Launch(String program, LaunchOptions command) {
    this.program = program;
    this.command = command;
  }

  /**
   * Opens, offers, and waits until it is stopped.
   *
   * @param out told when it serves
   * @return the exit code
   * @throws IllegalArgumentException if the command line makes no sense after all
   * @throws IOException if it cannot be opened or offered
   */
  int run(PrintStream out, PrintStream err) throws IOException, InterruptedException {
    if (command.verbose) {
      LaunchLog.show(System.Logger.Level.DEBUG);
    } else {
      // Said once it serves, or just before why it cannot: "ready" comes first, and a start that
      // is made anew in another JVM warns once.
      LaunchLog.hold();
    }
    try {
      return offer(out, err);
    } finally {
      LaunchLog.release();
    }
  }

  private int offer(PrintStream out, PrintStream err) throws IOException, InterruptedException {
    try (Serving serving = new Serving(program, out, err)) {
      // Before the pair is made, which nobody wants of a device that cannot be.
      DeviceTransports.check(command.device, deviceProperties());
      CachedDevice device = open();
      serving.device(device);
      Map<String, String> properties = deviceProperties(device);
      Optional<Attachment> attachment =
          serving.attach(
              command.device,
              takesOver(properties),
              () -> DeviceTransports.attach(device, command.device, properties));
      if (attachment.isPresent()) {
        serve(serving, device, attachment.get(), out);
      }
      return serving.await();
    }
  }

  private void serve(Serving serving, CachedDevice device, Attachment attachment, PrintStream out) {
    serving.ready(attachment, device.size());
    LaunchLog.release();
    ProgressLine progress = ProgressLine.wanted() ? new ProgressLine(program, device.size()) : null;
    serving.report(Reporter.start(device, out, command.statsSeconds, progress));
  }

  private CachedDevice open() throws IOException {
    URI uri = BlockSources.toUri(command.place);
    BlockSources sources =
        command.plugins == null ? BlockSources.installed() : Plugins.in(command.plugins);
    SourceOptions options =
        PairPlace.sourceOptions(command.timeout(), command.properties, command.headers);
    CachePair pair = PairPlace.of(command.bitmap, command.cache, uri);
    if (isKernelDevice()) {
      // Before the files are opened, which would wait for the device that is to be served.
      KernelDevices.refuseCacheOnDevice(
          command.device, command.properties, List.of(pair.cacheFile(), pair.bitmapFile()));
    }
    CachedDevice.Builder builder =
        CachedDevice.builder(() -> opened(sources.open(uri, options)))
            .pair(pair)
            .offline(command.offline)
            .sourceWait(command.timeout())
            .whenDifferent(command.recreate ? WhenDifferent.RECREATE : WhenDifferent.FAIL);
    int block = command.blockSizeBytes();
    if (block > 0) {
      builder.blockSizeBytes(block);
    }
    long most = LaunchOptions.bytes("--max-cache", command.maxCache);
    if (most > 0) {
      builder.maxCacheBytes(most);
    }
    opening = Thread.currentThread();
    try {
      return builder.open();
    } finally {
      opening = null;
    }
  }

  /**
   * Has a source that turns out to be enciphered opened anew in a JVM for ciphers, as long as
   * nothing else is open: a device that serves opens a source that was down in other threads.
   */
  private BlockSource opened(BlockSource source) {
    if (Thread.currentThread().equals(opening)
        && source instanceof HttpBlockSource http
        && http.encrypted()) {
      TunedJvm.needsCiphers(source.toString());
    }
    return source;
  }

  /** Those that the command line gives. */
  private Map<String, String> deviceProperties() {
    Map<String, String> properties = new LinkedHashMap<>(command.properties);
    properties.keySet().removeIf(PairPlace::ofSource);
    if (!command.export.isEmpty()) {
      properties.put("export", command.export);
    }
    return properties;
  }

  /** With those that follow from the device. */
  private Map<String, String> deviceProperties(CachedDevice device) {
    Map<String, String> properties = deviceProperties();
    if (isKernelDevice()) {
      // A launcher that is started again after a crash takes its device over, if it is the same.
      properties.putIfAbsent("identifier", "uloop:" + digest(device.identity()));
      if (!device.capabilities().writable()) {
        // Longer than a fetch: what is answered later would be asked for again on a new link.
        properties.putIfAbsent(
            "timeout",
            Long.toString(
                Math.min(
                    command.timeout().toSeconds() + KERNEL_SLACK_SECONDS,
                    LaunchOptions.MOST_SECONDS)));
      }
    }
    return properties;
  }

  private boolean isKernelDevice() {
    return command.device.startsWith("/dev/");
  }

  /** Whether there is a device from before, which may be mounted, to be taken over. */
  private boolean takesOver(Map<String, String> properties) throws IOException {
    return isKernelDevice()
        && KernelDevices.list().stream()
            .anyMatch(attached -> attached.identifier().equals(properties.get("identifier")));
  }

  private static String digest(SourceIdentity identity) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256")
              .digest(identity.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash, 0, 16);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }
}
