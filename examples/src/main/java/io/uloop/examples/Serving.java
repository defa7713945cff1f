/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockDevice;
import io.uloop.DeviceInUseException;
import io.uloop.DeviceTransport.Attachment;
import io.uloop.nbd.SdNotify;
import java.io.Closeable;
import java.io.IOException;
import java.io.PrintStream;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What a launcher has opened, until it is stopped.
 *
 * <pre>
 *   opening -> attaching -> serving -> stopped    a signal, or the device was detached from outside
 *      |           |_____________________^        a signal, obeyed when the attach ends; or it fails
 *      |_________________________________^        a signal, or a failure to open
 * </pre>
 *
 * <p>A signal makes the JVM run its shutdown hooks while the main thread still waits. The hook here
 * stops what is served and ends the process itself, as a JVM would otherwise exit with the signal's
 * number, and a clean stop is exit code 0. A kernel device that is mounted has a say in it, and one
 * that is just being attached would be left behind: with such a device signals come to {@link
 * #stopAsked} instead.
 */
final class Serving implements AutoCloseable {

  private final String program;
  private final PrintStream out;
  private final PrintStream err;
  private final Thread hook = new Thread(this::stopProcess, "uloop-stop-1");

  // Guards all below; held while stopping, so that whoever stops second waits for the first.
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition attachEnded = lock.newCondition();
  private @Nullable BlockDevice device;
  private @Nullable Attachment attachment;
  private @Nullable Reporter reporter;
  private @Nullable IOException failure;
  private boolean attaching;

  /** Whether what is being attached may be in use from before, as it is taken over. */
  private boolean mayBeInUse;

  /** How often a signal asked for a stop while attaching. */
  private int asked;

  /** Whether the hook waits for the end of the attach, to stop all itself. */
  private boolean ending;

  private boolean stopped;
  private int code;

  Serving(String program, PrintStream out, PrintStream err) {
    this.program = program;
    this.out = out;
    this.err = err;
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** Takes over the device. */
  void device(BlockDevice device) {
    locked(() -> this.device = device);
  }

  /** How a device is attached. */
  interface Attaching {
    Attachment attach() throws IOException;
  }

  /**
   * Attaches, and takes over the attachment.
   *
   * <p>A stop that is asked for meanwhile is obeyed when the attach ends. It ends soon: the kernel
   * looks for partitions, and the device is closed, so that such reads fail. But where somebody may
   * use the device already, only the second request does that.
   *
   * @param place where
   * @param inUse whether that is so: the device may be taken over
   * @return the attachment; empty if there is none to be served, as a stop was asked for
   */
  Optional<Attachment> attach(String place, boolean inUse, Attaching how) throws IOException {
    if (place.startsWith("/dev/")) {
      Signals.onStop(this::stopAsked);
    }
    if (!beginAttach(inUse)) {
      return Optional.empty();
    }
    Attachment made = null;
    IOException refusal = null;
    try {
      made = how.attach();
    } catch (IOException e) {
      refusal = e;
    } finally {
      endAttach(made);
    }
    if (refusal != null && asked == 0 && !ending) {
      throw refusal;
    }
    return made == null || ending || obeyed(made) ? Optional.empty() : Optional.of(made);
  }

  /** Tells whether to attach at all. */
  private boolean beginAttach(boolean inUse) {
    locked(
        () -> {
          mayBeInUse = inUse;
          attaching = !stopped;
        });
    return attaching;
  }

  /** From here on nobody counts requests any more. */
  private void endAttach(@Nullable Attachment made) {
    locked(
        () -> {
          attachment = made;
          attaching = false;
          attachEnded.signalAll();
        });
  }

  /** Does what was asked for while attaching; tells whether that ended it. */
  private boolean obeyed(Attachment made) {
    int requests = asked > 0 && !mayBeInUse ? 2 : asked;
    boolean ended = false;
    for (int i = 0; i < requests && !ended; i++) {
      ended = requestStop(made);
    }
    return ended;
  }

  /** Takes note of a signal. */
  void stopAsked() {
    Attachment served;
    lock.lock();
    try {
      if (attaching) {
        asked++;
        hastenAttach();
      }
      served = attachment;
    } finally {
      lock.unlock();
    }
    if (served != null) {
      requestStop(served);
    }
  }

  /** Has reads fail which the attach may wait for, if they are nobody else's; under the lock. */
  private void hastenAttach() {
    if (!mayBeInUse || asked > 1) {
      failure = close(device, failure);
    }
  }

  /** Says that it serves. */
  void ready(Attachment attachment, long sizeBytes) {
    locked(
        () -> {
          out.println("ready " + attachment.place() + " " + sizeBytes);
          out.flush();
        });
    tellSystemd(attachment);
  }

  /** A service that cannot be reported still serves. */
  private void tellSystemd(Attachment attachment) {
    if (System.getenv("NOTIFY_SOCKET") == null) {
      return;
    }
    try {
      SdNotify.fromEnvironment().ready("serving " + attachment.place());
    } catch (IOException e) {
      err.println(program + ": " + LaunchCommand.oneLine(e));
    }
  }

  /** Takes over what reports of it. */
  void report(Reporter reporter) {
    locked(() -> this.reporter = reporter);
  }

  /**
   * Waits until it is stopped.
   *
   * @return the exit code
   */
  int await() throws InterruptedException {
    Attachment served = attachment;
    if (served != null) {
      try {
        served.await();
      } catch (IOException e) {
        // It may come before the signal's thread has told of the same.
        locked(() -> failure = e);
      }
    }
    return stop();
  }

  /**
   * A signal, while a kernel device is served: it may be in use, and stays then. The next signal
   * forces it. Once it is detached, {@link #await} goes on.
   *
   * @return false if it stays
   */
  private boolean requestStop(Attachment attachment) {
    try {
      attachment.close();
    } catch (DeviceInUseException e) {
      err.println(program + ": " + e.getMessage());
      return false;
    } catch (IOException e) {
      locked(() -> failure = e);
    }
    return true;
  }

  /** Stops what is served; the second time, gives the code of the first. */
  private int stop() {
    lock.lock();
    try {
      while (attaching) {
        attachEnded.awaitUninterruptibly();
      }
      if (stopped) {
        return code;
      }
      stopped = true;
      failure = close(attachment, failure);
      if (reporter != null) {
        reporter.close();
      }
      failure = close(device, failure);
      LaunchLog.release(); // of a start that a signal ends
      if (failure != null) {
        code = LaunchCommand.EXIT_FAILURE;
        err.println(program + ": " + LaunchCommand.oneLine(failure));
      }
      return code;
    } finally {
      lock.unlock();
    }
  }

  private static @Nullable IOException close(
      @Nullable Closeable resource, @Nullable IOException earlier) {
    try {
      if (resource != null) {
        resource.close();
      }
      return earlier;
    } catch (IOException e) {
      if (earlier == null) {
        return e;
      }
      if (earlier != e) {
        earlier.addSuppressed(e);
      }
      return earlier;
    }
  }

  private void stopProcess() {
    locked(
        () -> {
          if (attaching) {
            ending = true;
            hastenAttach();
          }
        });
    int result = stop();
    out.flush();
    Runtime.getRuntime().halt(result);
  }

  /** Stops after a failure too, whose own line is the one to be seen. */
  @Override
  public void close() {
    stop();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException tooLate) {
      // The process is being stopped by a signal, and the hook will end it.
      assert stopped;
    }
  }

  private void locked(Runnable change) {
    lock.lock();
    try {
      change.run();
    } finally {
      lock.unlock();
    }
  }
}
