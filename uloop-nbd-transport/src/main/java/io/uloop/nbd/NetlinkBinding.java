/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * An nbd device that was connected by netlink; its dead links are replaced.
 *
 * <p>Two netlink sockets: one made the device and stays open as long as it lives, since a kernel
 * may take a device away with the socket that made it; the other hears of dead links, on a thread
 * {@code uloop-links-<index>}.
 *
 * <p><b>Threads:</b> safe for any; {@link #end} stops the thread before it disconnects, so that no
 * link is replaced that was cut on purpose.
 */
final class NetlinkBinding implements KernelBinding {

  private static final System.Logger LOG = System.getLogger(NetlinkBinding.class.getName());

  /** How long links of a killed process may take to die, and udev to let a fresh device go. */
  private static final Duration SETTLE = Duration.ofSeconds(10);

  /** A dead link is announced a moment before it can be replaced. */
  private static final Duration REPLACE = Duration.ofSeconds(2);

  private final NetlinkNbd nbd;
  private final KernelDevice device;
  private final KernelLinks links;
  private final KernelSettings settings;
  private final NetlinkLinkWatch watch;
  private final NetlinkSockets sockets;

  private NetlinkBinding(
      NetlinkNbd nbd,
      NetlinkNbd events,
      KernelDevice device,
      KernelLinks links,
      KernelSettings settings,
      NetlinkSockets sockets) {
    this.nbd = nbd;
    this.device = device;
    this.links = links;
    this.settings = settings;
    this.sockets = sockets;
    this.watch = new NetlinkLinkWatch(events, device.index(), sockets, this::replaceDeadLink);
  }

  /**
   * Connects a device, or takes one over that has the identifier.
   *
   * @param calls the C library
   * @param wanted which device, or empty for the next free one
   * @param links where its links come from
   * @param settings how
   * @return the binding; empty if the kernel has no netlink family for nbd
   */
  static Optional<NetlinkBinding> attach(
      NativeCalls calls, OptionalInt wanted, KernelLinks links, KernelSettings settings)
      throws IOException {
    Optional<NetlinkNbd> nbd = NetlinkNbd.open(calls);
    if (nbd.isEmpty()) {
      return Optional.empty();
    }
    NetlinkNbd events = null;
    try {
      // Before the first link can die.
      events = NetlinkNbd.open(calls).orElseThrow();
      events.watchLinks();
      OptionalInt known = NetlinkTakeover.find(calls, wanted, settings.identifier());
      NetlinkBinding binding =
          known.isPresent()
              ? takeOver(nbd.get(), events, calls, known.getAsInt(), links, settings)
              : connect(nbd.get(), events, calls, wanted, links, settings);
      binding.watch.start();
      return Optional.of(binding);
    } catch (IOException | RuntimeException e) {
      close(events, e);
      close(nbd.get(), e);
      throw e;
    }
  }

  private static NetlinkBinding connect(
      NetlinkNbd nbd,
      NetlinkNbd events,
      NativeCalls calls,
      OptionalInt wanted,
      KernelLinks links,
      KernelSettings settings)
      throws IOException {
    NetlinkSockets sockets = new NetlinkSockets();
    try {
      KernelLinks.Link first = links.connect();
      sockets.add(first.socket());
      while (sockets.count() < settings.connections() && first.export().canMultiConn()) {
        sockets.add(links.connect().socket());
      }
      NetlinkNbd.Configuration configuration =
          NetlinkTakeover.configuration(first.export(), settings);
      int index = connectWhenFree(nbd, calls, wanted, configuration, sockets.numbers());
      KernelDevice device = new KernelDevice(calls, "nbd" + index);
      return new NetlinkBinding(nbd, events, device, links, settings, sockets);
    } catch (IOException | RuntimeException e) {
      close(sockets, e);
      throw e;
    }
  }

  /** Waits for a device that is not configured but held open, as udev does when it looks at it. */
  private static int connectWhenFree(
      NetlinkNbd nbd,
      NativeCalls calls,
      OptionalInt wanted,
      NetlinkNbd.Configuration configuration,
      List<Integer> sockets)
      throws IOException {
    long end = System.nanoTime() + SETTLE.toNanos();
    while (true) {
      try {
        return nbd.connect(wanted, configuration, sockets);
      } catch (NativeException e) {
        if (e.errno() != NativeException.EBUSY || wanted.isEmpty()) {
          throw e;
        }
        KernelDevice device = new KernelDevice(calls, "nbd" + wanted.getAsInt());
        Optional<String> pid = device.attribute("pid");
        if (pid.isPresent() || System.nanoTime() > end) {
          throw new IOException(
              device
                  + " is in use"
                  + pid.map(p -> ": connected by process " + p).orElse("")
                  + device
                      .attribute("backend")
                      .filter(b -> !b.isEmpty())
                      .map(b -> ", identifier '" + b + "'")
                      .orElse(""),
              e);
        }
        KernelPoll.until(Duration.ofMillis(100), () -> false);
      }
    }
  }

  private static NetlinkBinding takeOver(
      NetlinkNbd nbd,
      NetlinkNbd events,
      NativeCalls calls,
      int index,
      KernelLinks source,
      KernelSettings settings)
      throws IOException {
    KernelDevice device = new KernelDevice(calls, "nbd" + index);
    NetlinkSockets sockets = new NetlinkSockets();
    try {
      NetlinkBinding binding = new NetlinkBinding(nbd, events, device, source, settings, sockets);
      try (KernelLinks.Link probe = source.connect()) {
        NetlinkTakeover.check(device, probe.export(), settings);
      }
      binding.replaceDeadLinks();
      return binding;
    } catch (IOException | RuntimeException e) {
      close(sockets, e);
      throw e;
    }
  }

  private void replaceDeadLinks() throws IOException {
    if (!replaceFirst()) {
      if (KernelRuntime.isAbandoned(device.name())) {
        // A server of its own outlived who attached it: its links are good, and are ours from now.
        LOG.log(System.Logger.Level.INFO, () -> device + ": taken over, with its living links");
        return;
      }
      throw new IOException(
          device
              + " has living links; is another process serving it? identifier '"
              + settings.identifier().orElse("")
              + "'");
    }
    int replaced = 1;
    // The kernel does not tell how many links there are. Those of a killed process die together.
    while (replaced < KernelSettings.MOST_CONNECTIONS
        && replaceDeadLink(replaced < settings.connections() ? REPLACE : Duration.ZERO)) {
      replaced++;
    }
    int links = replaced;
    LOG.log(System.Logger.Level.INFO, () -> device + ": taken over, links: " + links);
  }

  /** The kernel keeps size and name of a device that was disconnected while somebody uses it. */
  private boolean replaceFirst() throws IOException {
    try {
      return replaceDeadLink(SETTLE);
    } catch (NativeException e) {
      if (e.errno() == NativeException.EINVAL) {
        throw new IOException(
            device + " was detached and is not free yet: " + KernelClaim.users(device), e);
      }
      throw e;
    }
  }

  private void replaceDeadLink() throws IOException {
    if (!replaceDeadLink(REPLACE)) {
      LOG.log(
          System.Logger.Level.DEBUG, () -> device + ": a dead link was announced, none is dead");
    }
  }

  /** Hands one link to the kernel; tells whether it had a dead one to put it in the place of. */
  private boolean replaceDeadLink(Duration limit) throws IOException {
    UnixSocket socket = links.connect().socket();
    try {
      Duration mark = settings.timeouts().request();
      boolean taken =
          KernelPoll.until(
              limit,
              () -> {
                nbd.reconfigure(
                    device.index(),
                    settings.identifier(),
                    settings.timeouts(),
                    List.of(socket.number()));
                return socket.sendTimeout().equals(mark);
              });
      if (taken) {
        sockets.add(socket);
      } else {
        socket.close();
      }
      return taken;
    } catch (IOException | RuntimeException e) {
      close(socket, e);
      throw e;
    }
  }

  @Override
  public KernelDevice device() {
    return device;
  }

  @Override
  public boolean attached() throws IOException {
    return isConfigured() && !watch.cutOff();
  }

  private boolean isConfigured() throws IOException {
    return device.attribute("pid").isPresent();
  }

  @Override
  public void end(NativeFd open) throws IOException {
    watch.stop();
    nbd.disconnect(device.index());
  }

  @Override
  public boolean awaitFree(Duration limit) throws IOException {
    try {
      watch.stop();
      return KernelPoll.until(limit, () -> !isConfigured());
    } finally {
      sockets.close();
      nbd.close();
    }
  }

  private static void close(@Nullable Closeable c, Exception e) {
    try {
      if (c != null) {
        c.close();
      }
    } catch (IOException e2) {
      e.addSuppressed(e2);
    }
  }
}
