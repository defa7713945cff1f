/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.DeviceInUseException;
import io.uloop.DeviceTransport;
import java.io.Closeable;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A device that the kernel has, and the way it is let go.
 *
 * <pre>
 *   ATTACHED --close, nobody uses it--------------> DETACHED
 *      |  \--close, in use: throws, says who--> REFUSED --close: forces--> DETACHED
 *      |\--detached from outside, seen by await-----> DETACHED
 *      \--broken, seen by await------------> DETACHED, as a failure
 * </pre>
 *
 * Letting go is: claim the device exclusively, so that nobody mounts it meanwhile; fsync a
 * descriptor that is open since the attach, since only that one reports a write-back that failed at
 * any time in between; disconnect; wait until the kernel is done; stop serving.
 *
 * <p>A detach that failed is reported by everybody who asks: the close that did it, {@link #await},
 * and closes that come later; who waits may be through before who closed it has said a word.
 *
 * <p><b>Threads:</b> safe for any; {@code lock} is held for the whole of a close, which is what a
 * second closer has to wait for. {@link #await} reads {@code failures} without it, once {@code
 * detached} says that nothing is added any more.
 */
final class KernelAttachment implements DeviceTransport.Attachment {

  private static final System.Logger LOG = System.getLogger(KernelAttachment.class.getName());

  private static final int WATCH_MILLIS = 500;
  private static final Duration FREE = Duration.ofSeconds(10);
  private static final Duration FREE_FORCED = Duration.ofSeconds(1);

  private final KernelBinding binding;
  private final KernelSettings settings;
  private final Closeable server;
  private final NativeFd held;
  private final ReentrantLock lock = new ReentrantLock();
  private final CountDownLatch detached = new CountDownLatch(1);

  private final Failures failures = new Failures();

  /** Guarded by {@code lock}. */
  private boolean refused;

  /** Guarded by {@code lock}. */
  private boolean closed;

  private KernelAttachment(
      KernelBinding binding, KernelSettings settings, Closeable server, NativeFd held) {
    this.binding = binding;
    this.settings = settings;
    this.server = server;
    this.held = held;
  }

  /**
   * Sets up a device that the kernel has just got.
   *
   * @param binding the kernel's hold; owned from here on, also if this fails
   * @param settings how
   * @param server what serves it, closed last; stays the caller's if this fails
   */
  static KernelAttachment of(KernelBinding binding, KernelSettings settings, Closeable server)
      throws IOException {
    KernelDevice device = binding.device();
    NativeFd held = null;
    try {
      device.tune(settings.queue());
      held = device.open(device.readOnly() ? KernelDevice.O_RDONLY : KernelDevice.O_RDWR);
      if (settings.partitionScan()) {
        scanPartitions(device, held);
      }
      return new KernelAttachment(binding, settings, server, held);
    } catch (IOException | RuntimeException e) {
      undo(binding, held, e);
      throw e;
    }
  }

  /** Looks for partitions; a device in use after a takeover, or one that can have none, has not. */
  private static void scanPartitions(KernelDevice device, NativeFd open) {
    try {
      device.calls().ioctl(open, "BLKRRPART", KernelDevice.BLKRRPART, 0);
    } catch (NativeException e) {
      LOG.log(System.Logger.Level.DEBUG, () -> device + ": no partitions: " + e.getMessage());
    }
  }

  private static void undo(KernelBinding binding, @Nullable NativeFd held, Exception primary) {
    try (NativeFd open = held != null ? held : binding.device().open(KernelDevice.O_RDONLY)) {
      binding.end(open);
    } catch (IOException e) {
      primary.addSuppressed(e);
    }
    try {
      binding.awaitFree(FREE_FORCED);
    } catch (IOException e) {
      primary.addSuppressed(e);
    }
  }

  @Override
  public String place() {
    return binding.device().path();
  }

  @Override
  public void await() throws InterruptedException, IOException {
    while (!detached.await(WATCH_MILLIS, TimeUnit.MILLISECONDS)) {
      if (!binding.attached()) {
        Optional<String> broken = binding.broken();
        if (broken.isPresent()) {
          closeBroken(broken.get());
        } else {
          LOG.log(System.Logger.Level.INFO, () -> place() + ": detached from outside");
          close();
        }
      }
    }
    failures.raise(place());
  }

  /**
   * Closes what broke, unless a close is under way or comes: who stops a service stops all its
   * processes at once, so that what the device needs may end a moment before this one is told to.
   */
  private void closeBroken(String what) throws IOException, InterruptedException {
    if (detached.await(WATCH_MILLIS, TimeUnit.MILLISECONDS)) {
      return;
    }
    lock.lock();
    try {
      if (!closed) {
        failures.run(
            () -> {
              throw new IOException(what);
            });
        detach();
      }
    } finally {
      lock.unlock();
    }
  }

  @Override
  public void close() throws IOException {
    lock.lock();
    try {
      if (!closed) {
        detach();
      }
      failures.raise(place());
    } finally {
      lock.unlock();
    }
  }

  private void detach() throws IOException {
    boolean forced = false;
    if (binding.attached()) {
      Optional<NativeFd> claim = claim();
      forced = claim.isEmpty();
      closed = true;
      failures.run(() -> binding.device().calls().fsync(held));
      failures.run(held);
      failures.run(
          () -> {
            try (NativeFd open =
                claim.isPresent() ? claim.get() : binding.device().open(KernelDevice.O_RDONLY)) {
              binding.end(open);
            }
          });
    } else {
      closed = true;
      failures.run(held);
    }
    Duration limit = forced ? FREE_FORCED : FREE;
    failures.run(
        () -> {
          if (!binding.awaitFree(limit)) {
            LOG.log(
                System.Logger.Level.WARNING,
                () -> place() + ": disconnected, but not free until its users let it go");
          }
        });
    failures.run(server);
    detached.countDown();
  }

  /**
   * Claims the device, or refuses once.
   *
   * @return the claim; empty if the device is in use and the detach is forced
   */
  private Optional<NativeFd> claim() throws IOException {
    KernelDevice device = binding.device();
    Duration wait = refused ? Duration.ZERO : settings.detachWait();
    Optional<NativeFd> claim = KernelClaim.take(device, wait);
    if (claim.isPresent()) {
      return claim;
    }
    String users = KernelClaim.users(device);
    if (!refused) {
      refused = true;
      throw new DeviceInUseException(
          device + " is in use and stays attached: " + users + "; a second request forces");
    }
    LOG.log(System.Logger.Level.WARNING, () -> device + ": forced off while in use: " + users);
    return claim;
  }

  /** Runs every step, whatever the one before did, and throws the first failure at the end. */
  private static final class Failures {

    private @Nullable Exception first;

    void run(Closeable step) {
      try {
        step.close();
      } catch (IOException | RuntimeException e) {
        if (first == null) {
          first = e;
        } else {
          first.addSuppressed(e);
        }
      }
    }

    void raise(String place) throws IOException {
      if (first != null) {
        throw new IOException(place + ": detached, but: " + first.getMessage(), first);
      }
    }
  }
}
