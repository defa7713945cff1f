/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * An nbd device that was set up by ioctl, for kernels before 4.12.
 *
 * <p>One thread, {@code uloop-nbd-<index>}, does it all: the kernel takes the sockets only from the
 * thread that gave it the first, and NBD_DO_IT keeps that thread until the device is disconnected.
 * A signal to it would end the device, so those that a process gets from outside are blocked there.
 *
 * <p>Here nothing is taken over and no link replaced: the device ends with its thread.
 *
 * <p><b>Threads:</b> safe for any.
 *
 * <p><b>Source:</b> the kernel's include/uapi/linux/nbd.h and drivers/block/nbd.c.
 */
final class KernelIoctlBinding implements KernelBinding {

  static final long NBD_SET_SOCK = 0xab00;
  static final long NBD_SET_BLKSIZE = 0xab01;
  static final long NBD_DO_IT = 0xab03;
  static final long NBD_CLEAR_SOCK = 0xab04;
  static final long NBD_SET_SIZE_BLOCKS = 0xab07;
  static final long NBD_DISCONNECT = 0xab08;
  static final long NBD_SET_TIMEOUT = 0xab09;
  static final long NBD_SET_FLAGS = 0xab0a;

  private static final int SIGHUP = 1;
  private static final int SIGINT = 2;
  private static final int SIGUSR1 = 10;
  private static final int SIGTERM = 15;
  private static final int SIGCHLD = 17;

  private static final System.Logger LOG = System.getLogger(KernelIoctlBinding.class.getName());
  private static final Duration START = Duration.ofSeconds(10);

  private final NativeCalls calls;
  private final KernelDevice device;
  private final KernelLinks links;
  private final KernelSettings settings;
  private final Thread thread;

  /** Why the thread could not set the device up, or it broke; written before the thread ends. */
  private volatile @Nullable Exception failure;

  private KernelIoctlBinding(
      NativeCalls calls, KernelDevice device, KernelLinks links, KernelSettings settings) {
    this.calls = calls;
    this.device = device;
    this.links = links;
    this.settings = settings;
    thread = new Thread(this::run, "uloop-nbd-" + device.index());
    thread.setDaemon(true);
  }

  /** Sets a device up and returns when the kernel serves it. */
  static KernelIoctlBinding attach(
      NativeCalls calls, OptionalInt wanted, KernelLinks links, KernelSettings settings)
      throws IOException {
    KernelDevice device =
        new KernelDevice(calls, "nbd" + (wanted.isPresent() ? wanted.getAsInt() : free(calls)));
    // Checked first: NBD_SET_BLKSIZE would resize a device that somebody else uses.
    if (device.attribute("pid").isPresent()) {
      throw new IOException(
          device + " is in use: connected by process " + device.attribute("pid").orElse("?"));
    }
    KernelIoctlBinding binding = new KernelIoctlBinding(calls, device, links, settings);
    binding.thread.start();
    boolean started =
        KernelPoll.until(START, () -> binding.attached() || !binding.thread.isAlive());
    if (!started || !binding.attached()) {
      Exception cause = binding.failure;
      throw new IOException(
          device + " cannot be set up: " + (cause == null ? "no answer" : cause.getMessage()),
          cause);
    }
    return binding;
  }

  private static int free(NativeCalls calls) throws IOException {
    TreeSet<Integer> free = new TreeSet<>();
    try (DirectoryStream<Path> devices = Files.newDirectoryStream(Path.of("/sys/block"), "nbd*")) {
      for (Path path : devices) {
        KernelDevice device = new KernelDevice(calls, path.getFileName().toString());
        if (device.attribute("pid").isEmpty() && device.sizeBytes() == 0) {
          free.add(device.index());
        }
      }
    }
    if (free.isEmpty()) {
      throw new IOException("no free /dev/nbdN");
    }
    return free.first();
  }

  private void run() {
    List<KernelLinks.Link> open = new ArrayList<>();
    try (NativeFd fd = device.open(KernelDevice.O_RDWR)) {
      calls.blockSignals(SIGHUP, SIGINT, SIGUSR1, SIGTERM, SIGCHLD);
      try {
        setUp(fd, open);
        calls.ioctl(fd, "NBD_DO_IT", NBD_DO_IT, 0);
      } finally {
        calls.ioctl(fd, "NBD_CLEAR_SOCK", NBD_CLEAR_SOCK, 0);
      }
    } catch (IOException | RuntimeException e) {
      failure = e;
      LOG.log(System.Logger.Level.DEBUG, () -> device + ": ended: " + e.getMessage());
    } finally {
      for (KernelLinks.Link link : open) {
        try {
          link.close();
        } catch (IOException e) {
          LOG.log(System.Logger.Level.WARNING, () -> device + ": " + e.getMessage());
        }
      }
    }
  }

  private void setUp(NativeFd fd, List<KernelLinks.Link> open) throws IOException {
    open.add(links.connect());
    KernelHandshake.Export export = open.get(0).export();
    while (open.size() < settings.connections() && export.canMultiConn()) {
      open.add(links.connect());
    }
    NetlinkNbd.Configuration configuration = NetlinkTakeover.configuration(export, settings);
    calls.ioctl(fd, "NBD_SET_BLKSIZE", NBD_SET_BLKSIZE, configuration.blockBytes());
    calls.ioctl(
        fd,
        "NBD_SET_SIZE_BLOCKS",
        NBD_SET_SIZE_BLOCKS,
        configuration.sizeBytes() / configuration.blockBytes());
    calls.ioctl(fd, "NBD_SET_FLAGS", NBD_SET_FLAGS, configuration.serverFlags());
    calls.ioctl(fd, "NBD_SET_TIMEOUT", NBD_SET_TIMEOUT, settings.timeouts().request().toSeconds());
    for (KernelLinks.Link link : open) {
      calls.ioctl(fd, "NBD_SET_SOCK", NBD_SET_SOCK, link.socket().number());
    }
  }

  @Override
  public KernelDevice device() {
    return device;
  }

  @Override
  public boolean attached() throws IOException {
    return device.attribute("pid").isPresent();
  }

  /** The driver gives an error unless it was told to disconnect. */
  @Override
  public Optional<String> broken() {
    return Optional.ofNullable(failure).map(Throwable::getMessage);
  }

  @Override
  public void end(NativeFd open) throws IOException {
    calls.ioctl(open, "NBD_DISCONNECT", NBD_DISCONNECT, 0);
  }

  @Override
  public boolean awaitFree(Duration limit) throws IOException {
    return KernelPoll.until(limit, () -> !thread.isAlive() && !attached());
  }
}
