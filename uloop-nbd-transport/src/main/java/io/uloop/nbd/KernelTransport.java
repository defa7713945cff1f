/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.DeviceTransport;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Makes a device a block device of the Linux kernel: {@code /dev/nbdN} or {@code /dev/loopN}, or
 * {@code /dev/nbd} or {@code /dev/loop} for the next free one. Needs CAP_SYS_ADMIN.
 *
 * <p>An nbd device outlives this process: killed, it waits {@code dead-timeout} for another that
 * attaches with the same {@code identifier} and goes on. A loop device does not.
 *
 * <p>{@link Attachment#close} refuses once while somebody uses the device, and says who; the next
 * call forces it, and what was in flight fails.
 *
 * <table>
 *   <caption>Properties</caption>
 *   <tr><th>name</th><th>unless set</th><th>meaning</th></tr>
 *   <tr><td>{@code connections}</td><td>4</td><td>links to the server; 1 if it cannot have
 *       more</td></tr>
 *   <tr><td>{@code timeout}</td><td>40, writable 120</td><td>seconds after which the kernel gives a
 *       link up that does not answer (nbd); must be longer than a fetch or a flush may
 *       take</td></tr>
 *   <tr><td>{@code dead-timeout}</td><td>60</td><td>seconds that requests wait while no link lives
 *       (nbd); 0 fails them at once</td></tr>
 *   <tr><td>{@code identifier}</td><td>none</td><td>what a takeover must know (nbd); without one
 *       nothing is taken over</td></tr>
 *   <tr><td>{@code block-size}</td><td>512</td><td>logical block size, up to 4096</td></tr>
 *   <tr><td>{@code max-sectors-kb}</td><td>1024</td><td>longest request</td></tr>
 *   <tr><td>{@code read-ahead-kb}</td><td>1024</td><td>read-ahead of the page cache</td></tr>
 *   <tr><td>{@code scheduler}</td><td>none</td><td>I/O scheduler</td></tr>
 *   <tr><td>{@code partition-scan}</td><td>true</td><td>whether partitions become devices</td></tr>
 *   <tr><td>{@code read-only}</td><td>false</td><td>whether a writable device is offered
 *       read-only</td></tr>
 *   <tr><td>{@code detach-wait}</td><td>5</td><td>seconds that a detach waits for short-lived users
 *       </td></tr>
 *   <tr><td>{@code interface}</td><td>netlink</td><td>{@code ioctl} for the older one (nbd), which
 *       is also taken where the kernel has no netlink for nbd</td></tr>
 *   <tr><td>{@code busy-poll}</td><td>50, or 0 with one processor</td><td>microseconds to look for
 *       the kernel's next request, when it sends one at a time, before sleeping</td></tr>
 * </table>
 *
 * @since 0.1
 */
public final class KernelTransport implements DeviceTransport {

  private static final long MODPROBE_SECONDS = 20;

  /** Makes one; {@link java.util.ServiceLoader} does. */
  public KernelTransport() {}

  @Override
  public boolean accepts(String place) {
    return KernelPlace.of(place).isPresent();
  }

  @Override
  public void check(String place, Map<String, String> properties) throws IOException {
    KernelPlace target = target(place);
    KernelSettings.of(properties, false);
    KernelPrivileges.check(place);
    if (target.driver() == KernelPlace.Driver.NBD) {
      loadModule();
    } else {
      FuseMount.check();
    }
    if (target.index().isPresent()) {
      checkFree(new KernelDevice(NativeCalls.load(), place.substring("/dev/".length())), target);
    }
  }

  /** An nbd device that nobody serves may be one to take over; that is for the attach to say. */
  private static void checkFree(KernelDevice device, KernelPlace target) throws IOException {
    if (target.driver() == KernelPlace.Driver.LOOP) {
      String file = device.attribute("loop/backing_file").orElse("");
      if (!file.isEmpty()) {
        throw new IOException(device + " is in use: " + file);
      }
    } else if (device.attribute("pid").isPresent()
        && !KernelRuntime.isAbandoned(device.name())
        && KernelRuntime.isServed(device.calls(), device.name())) {
      throw new IOException(
          device
              + " is in use: served by process "
              + KernelRuntime.server(device.name()).orElse("?"));
    }
  }

  private static KernelPlace target(String place) {
    return KernelPlace.of(place)
        .orElseThrow(() -> new IllegalArgumentException("not a kernel device: " + place));
  }

  @Override
  public Attachment attach(BlockDevice device, String place, Map<String, String> properties)
      throws IOException {
    KernelPlace target = target(place);
    KernelSettings settings = KernelSettings.of(properties, device.capabilities().writable());
    if (device.size() < settings.blockBytes()) {
      throw new IllegalArgumentException(
          "a kernel device needs at least one block of "
              + settings.blockBytes()
              + " bytes: size="
              + device.size());
    }
    NativeCalls calls = NativeCalls.load();
    KernelPrivileges.check(place);
    boolean readOnly = !device.capabilities().writable() || settings.readOnly();
    return attach(
        target,
        runtime -> serve(calls, device, runtime.socketPath(), readOnly, settings),
        runtime -> new KernelUnixLinks(calls, runtime.socketPath(), ""),
        readOnly,
        settings);
  }

  /** Attaches what a server offers that is there already. */
  static Attachment attachServer(
      KernelUnixLinks server, String place, Map<String, String> properties) throws IOException {
    KernelPlace target = target(place);
    KernelPrivileges.check(place);
    KernelHandshake.Export export;
    try (KernelLinks.Link probe = server.connect()) {
      export = probe.export();
    }
    KernelSettings settings = KernelSettings.of(properties, !export.readOnly());
    return attach(
        target,
        runtime -> {
          runtime.serveFrom(Path.of(server.socketPath()));
          return () -> {}; // it is not ours to stop
        },
        runtime -> server,
        export.readOnly() || settings.readOnly(),
        settings);
  }

  private static Attachment attach(
      KernelPlace target,
      Step<Closeable> serving,
      Step<KernelUnixLinks> links,
      boolean readOnly,
      KernelSettings settings)
      throws IOException {
    Undo undo = new Undo();
    try {
      KernelRuntime runtime = undo.later(KernelRuntime.create());
      undo.later(serving.with(runtime));
      KernelBinding binding =
          target.driver() == KernelPlace.Driver.NBD
              ? nbd(target, links.with(runtime), settings)
              : loop(target, links.with(runtime), runtime, readOnly, settings);
      KernelAttachment attachment = KernelAttachment.of(binding, settings, undo::run);
      publish(runtime, attachment, binding);
      return attachment;
    } catch (IOException | RuntimeException e) {
      undo.after(e);
      throw e;
    }
  }

  /** What is done when the attachment's directory is there. */
  private interface Step<T> {
    T with(KernelRuntime runtime) throws IOException;
  }

  private static void publish(
      KernelRuntime runtime, KernelAttachment attachment, KernelBinding binding)
      throws IOException {
    try {
      runtime.publish(binding.device().name());
    } catch (IOException e) {
      try {
        attachment.close();
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      throw e;
    }
  }

  /**
   * Starts the server, on threads that never wait for their own device if it can be written (see
   * {@link KernelMemory}).
   */
  private static NbdServer serve(
      NativeCalls calls,
      BlockDevice device,
      String socketPath,
      boolean readOnly,
      KernelSettings settings)
      throws IOException {
    NbdServerConfig config =
        NbdServerConfig.builder()
            .listen("unix:" + socketPath)
            .export(new NbdExport("", device))
            .busyPoll(settings.busyPoll())
            .build();
    return readOnly
        ? NbdServer.start(config)
        : KernelMemory.onFlusherThread(calls, () -> NbdServer.start(config));
  }

  private static KernelBinding nbd(
      KernelPlace target, KernelUnixLinks links, KernelSettings settings) throws IOException {
    loadModule();
    NativeCalls calls = links.calls();
    if (!settings.useIoctl()) {
      var binding = NetlinkBinding.attach(calls, target.index(), links, settings);
      if (binding.isPresent()) {
        return binding.get();
      }
    }
    return KernelIoctlBinding.attach(calls, target.index(), links, settings);
  }

  private static void loadModule() throws IOException {
    if (Files.exists(Path.of("/sys/module/nbd"))) {
      return;
    }
    try {
      Process modprobe =
          new ProcessBuilder("modprobe", "nbd")
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      if (!modprobe.waitFor(MODPROBE_SECONDS, TimeUnit.SECONDS)) {
        modprobe.destroyForcibly();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new java.io.InterruptedIOException("interrupted");
    } catch (IOException e) {
      // No modprobe; the driver may be built in, and what follows says if it is not.
    }
    if (!Files.exists(Path.of("/sys/module/nbd"))) {
      throw new IOException(
          "this kernel has no nbd driver (modprobe nbd); use /dev/loopN, or unix:/path");
    }
  }

  private static KernelBinding loop(
      KernelPlace target,
      KernelUnixLinks links,
      KernelRuntime runtime,
      boolean readOnly,
      KernelSettings settings)
      throws IOException {
    FuseMount mount =
        FuseMount.start(links, runtime.mountPoint(), readOnly, settings.connections());
    try {
      return LoopBinding.attach(links.calls(), target.index(), mount, readOnly, settings);
    } catch (IOException | RuntimeException e) {
      try {
        mount.close(Duration.ZERO);
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      throw e;
    }
  }

  /** What an attachment holds beside the device, let go in the opposite order. */
  private static final class Undo {

    private final Deque<Closeable> steps = new ArrayDeque<>();

    <T extends Closeable> T later(T step) {
      steps.push(step);
      return step;
    }

    void run() throws IOException {
      IOException failure = null;
      for (Closeable step : steps) {
        try {
          step.close();
        } catch (IOException e) {
          if (failure == null) {
            failure = e;
          } else {
            failure.addSuppressed(e);
          }
        }
      }
      if (failure != null) {
        throw failure;
      }
    }

    void after(Exception primary) {
      try {
        run();
      } catch (IOException e) {
        primary.addSuppressed(e);
      }
    }
  }
}
