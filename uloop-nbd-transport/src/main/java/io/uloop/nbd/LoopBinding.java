/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;

/**
 * A loop device over an export that nbdfuse shows as a file, for kernels without nbd.
 *
 * <p>Reads take the way kernel, FUSE, nbdfuse, unix socket, server: one process and two copies more
 * than nbd. If this process is killed, the device gives I/O errors at once, and is gone when its
 * last user closes it; there is no takeover.
 *
 * <p><b>Threads:</b> safe for any.
 */
final class LoopBinding implements KernelBinding {

  private final LoopControl control;
  private final KernelDevice device;
  private final FuseMount mount;
  private final NativeFd configured;

  private LoopBinding(
      LoopControl control, KernelDevice device, FuseMount mount, NativeFd configured) {
    this.control = control;
    this.device = device;
    this.mount = mount;
    this.configured = configured;
  }

  /**
   * Puts a mounted export behind a loop device.
   *
   * @param calls the C library
   * @param wanted which device, or empty for one that is free
   * @param mount the export; taken over if this succeeds
   * @param readOnly whether the device is
   * @param settings block size and partitions
   */
  static LoopBinding attach(
      NativeCalls calls,
      OptionalInt wanted,
      FuseMount mount,
      boolean readOnly,
      KernelSettings settings)
      throws IOException {
    LoopControl control = new LoopControl(calls);
    KernelDevice device = control.device(wanted);
    int mode = readOnly ? KernelDevice.O_RDONLY : KernelDevice.O_RDWR;
    NativeFd open = null;
    try (NativeFd file = calls.open(mount.file().toString(), mode | KernelDevice.O_CLOEXEC)) {
      open = device.open(mode);
      int flags =
          LoopControl.LO_FLAGS_AUTOCLEAR
              // Else every byte is in the page cache twice, as the file's and as the device's.
              | LoopControl.LO_FLAGS_DIRECT_IO
              | (readOnly ? LoopControl.LO_FLAGS_READ_ONLY : 0)
              | (settings.partitionScan() ? LoopControl.LO_FLAGS_PARTSCAN : 0);
      control.configure(open, file, mount.file().toString(), settings.blockBytes(), flags);
      return new LoopBinding(control, device, mount, open);
    } catch (IOException e) {
      close(open, e);
      if (e instanceof NativeException n && n.errno() == NativeException.EBUSY) {
        throw new IOException(
            device + " is in use: " + device.attribute("loop/backing_file").orElse("busy"), e);
      }
      throw e;
    }
  }

  @Override
  public KernelDevice device() {
    return device;
  }

  @Override
  public boolean attached() throws IOException {
    return mount.isRunning() && isConfigured();
  }

  @Override
  public Optional<String> broken() throws IOException {
    return mount.isRunning() || !isConfigured()
        ? Optional.empty()
        : Optional.of(("nbdfuse has ended: " + mount.lastWords()).strip());
  }

  private boolean isConfigured() throws IOException {
    return device
        .attribute("loop/backing_file")
        .filter(file -> file.equals(mount.file().toString()))
        .isPresent();
  }

  @Override
  public void end(NativeFd open) throws IOException {
    configured.close();
    control.clear(open);
  }

  @Override
  public boolean awaitFree(Duration limit) throws IOException {
    try {
      configured.close();
      return KernelPoll.until(limit, () -> !isConfigured());
    } finally {
      mount.close(limit);
    }
  }

  private static void close(@Nullable NativeFd fd, Exception primary) {
    try {
      if (fd != null) {
        fd.close();
      }
    } catch (IOException e) {
      primary.addSuppressed(e);
    }
  }
}
