/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.DeviceInUseException;
import io.uloop.DeviceTransport;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The kernel devices of this machine that are, or were, attached by {@link KernelTransport}; for
 * tools that look after them.
 *
 * <p>A device that nobody serves was left by a process that was killed: attached again with its
 * identifier it goes on, and {@link #detach} takes it away.
 *
 * <p><b>Threads:</b> safe for any.
 *
 * @since 0.1
 */
public final class KernelDevices {

  private static final Path SYS_BLOCK = Path.of("/sys/block");
  private static final Duration SHORT_USERS = Duration.ofSeconds(2);
  private static final Duration FREE = Duration.ofSeconds(10);

  private KernelDevices() {}

  /**
   * A device that is attached.
   *
   * @param place its path, as in {@code /dev/nbd0}
   * @param sizeBytes its size
   * @param identifier what it was attached with, empty if nothing
   * @param served whether a process serves it
   * @param server the number of the process that serves it or did, empty if it is not known
   * @param users who uses it, as words; empty if nobody that can be seen does
   * @since 0.1
   */
  public record Attached(
      String place,
      long sizeBytes,
      String identifier,
      boolean served,
      String server,
      List<String> users) {

    /**
     * Copies the list.
     *
     * @param place see the record
     * @param sizeBytes see the record
     * @param identifier see the record
     * @param served see the record
     * @param server see the record
     * @param users see the record
     */
    public Attached {
      users = List.copyOf(users);
    }
  }

  /**
   * Lists all nbd devices that are configured, whoever did it, and the loop devices of this
   * transport.
   *
   * @return the devices, by name
   * @throws IOException if {@code /sys} or {@code /proc} cannot be read
   */
  public static List<Attached> list() throws IOException {
    NativeCalls calls = NativeCalls.load();
    List<Attached> found = new ArrayList<>();
    try (DirectoryStream<Path> blocks = Files.newDirectoryStream(SYS_BLOCK, "{nbd,loop}*")) {
      for (Path block : blocks) {
        KernelDevice device = new KernelDevice(calls, block.getFileName().toString());
        if (isConfigured(device)) {
          found.add(
              new Attached(
                  device.path(),
                  device.sizeBytes(),
                  device.attribute("backend").orElse(""),
                  KernelRuntime.isServed(calls, device.name()),
                  KernelRuntime.server(device.name()).orElse(""),
                  KernelHolders.of(device)));
        }
      }
    }
    found.sort(java.util.Comparator.comparing(Attached::place));
    return found;
  }

  /**
   * Makes what an NBD server offers, whichever it is, a device of the kernel.
   *
   * @param socket the unix socket where the server listens
   * @param exportName which of its exports, empty for the default one
   * @param place where, as for {@link KernelTransport}
   * @param properties as for {@link KernelTransport}
   * @return the attachment; the caller closes it. Closing does not stop the server
   * @throws IllegalArgumentException if the place or a property makes no sense
   * @throws IOException if the server cannot be reached, or the device not be attached
   */
  public static DeviceTransport.Attachment attach(
      Path socket, String exportName, String place, Map<String, String> properties)
      throws IOException {
    KernelUnixLinks server = new KernelUnixLinks(NativeCalls.load(), socket.toString(), exportName);
    return KernelTransport.attachServer(server, place, properties);
  }

  /**
   * Detaches a device: an nbd device whoever serves it, where what was written reaches a living
   * server first; a loop device only if nobody serves it any more.
   *
   * @param place its path
   * @param force whether also if somebody uses it; what is in flight fails then
   * @throws IllegalArgumentException if the place is no kernel device with a number
   * @throws DeviceInUseException if somebody uses it, and it is not forced; nothing was done
   * @throws IOException if it is not attached, or cannot be detached
   */
  public static void detach(String place, boolean force) throws IOException {
    KernelPlace target =
        KernelPlace.of(place)
            .filter(p -> p.index().isPresent())
            .orElseThrow(() -> new IllegalArgumentException("not a kernel device: " + place));
    NativeCalls calls = NativeCalls.load();
    KernelPrivileges.check(place);
    KernelDevice device = new KernelDevice(calls, place.substring("/dev/".length()));
    if (!isConfigured(device)) {
      throw new IOException(place + " is not attached");
    }
    boolean served = KernelRuntime.isServed(calls, device.name());
    if (served && target.driver() == KernelPlace.Driver.LOOP) {
      // Its server holds it open, so that the driver would only put the detach off.
      throw new IOException(
          place
              + " is served by process "
              + KernelRuntime.server(device.name()).orElse("?")
              + "; stop that instead");
    }
    Optional<NativeFd> claim = KernelClaim.take(device, SHORT_USERS);
    if (claim.isEmpty() && !force) {
      throw new DeviceInUseException(place + " is in use: " + KernelClaim.users(device));
    }
    try (NativeFd open = claim.isPresent() ? claim.get() : device.open(KernelDevice.O_RDONLY)) {
      if (served) {
        calls.fsync(open);
      }
      if (target.driver() == KernelPlace.Driver.LOOP) {
        new LoopControl(calls).clear(open);
      } else {
        NetlinkNbd nbd =
            NetlinkNbd.open(calls)
                .orElseThrow(() -> new IOException("this kernel has no netlink for nbd"));
        try (nbd) {
          nbd.disconnect(device.index());
        }
      }
    }
    if (!KernelPoll.until(FREE, () -> !isConfigured(device)) && !force) {
      throw new IOException(place + " is detached, but not free: " + KernelClaim.users(device));
    }
  }

  /**
   * Refuses files that live on the device which they are to be the cache of: writing them would
   * wait for itself. For use before the files are opened.
   *
   * @param place where the device will be
   * @param properties those of the attachment; with an identifier, also the device that it will
   *     take over is looked at
   * @param files the cache file, the bitmap file and whatever else is written
   * @throws IOException if one does, naming it
   */
  public static void refuseCacheOnDevice(
      String place, Map<String, String> properties, List<Path> files) throws IOException {
    Optional<KernelPlace> target = KernelPlace.of(place);
    if (target.isEmpty()) {
      return;
    }
    List<String> forbidden = new ArrayList<>();
    if (target.get().index().isPresent()) {
      forbidden.add(place.substring("/dev/".length()));
    } else if (properties.containsKey(KernelSettings.IDENTIFIER)) {
      NetlinkTakeover.find(
              NativeCalls.load(),
              target.get().index(),
              Optional.of(properties.get(KernelSettings.IDENTIFIER)))
          .ifPresent(index -> forbidden.add("nbd" + index));
    }
    KernelStack stack = KernelStack.ofThisMachine();
    for (Path file : files) {
      for (String name : stack.devicesUnder(file)) {
        if (forbidden.contains(name)) {
          throw new IOException(
              file + " lives on /dev/" + name + ", whose cache it is to be; put it elsewhere");
        }
      }
    }
  }

  private static boolean isConfigured(KernelDevice device) throws IOException {
    return device.name().startsWith("nbd")
        ? device.attribute("pid").isPresent()
        : device
            .attribute("loop/backing_file")
            .filter(file -> KernelRuntime.isMount(Path.of(file)))
            .isPresent();
  }
}
