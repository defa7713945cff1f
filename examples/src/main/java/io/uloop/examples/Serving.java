/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockDevice;
import io.uloop.DeviceInUseException;
import io.uloop.DeviceTransport.Attachment;
import io.uloop.nbd.SdNotify;
import java.io.Closeable;
import java.io.IOException;
import java.io.PrintStream;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What a launcher has opened, until it is stopped.
 *
 * <pre>
 *   opening -> serving -> stopped    stop: a signal, or the device was detached from outside
 *      |__________________^          a signal while opening, or a failure to open
 * </pre>
 *
 * <p>A signal makes the JVM run its shutdown hooks while the main thread still waits. The hook here
 * stops what is served and ends the process itself, as a JVM would otherwise exit with the signal's
 * number, and a clean stop is exit code 0. A kernel device that is mounted has a say in it, so
 * while one is served signals come to {@link #requestStop} instead.
 */
final class Serving implements AutoCloseable {

  private final String program;
  private final PrintStream out;
  private final PrintStream err;
  private final Thread hook = new Thread(this::stopProcess, "uloop-stop-1");

  // Guards all below; held while stopping, so that whoever stops second waits for the first.
  private final ReentrantLock lock = new ReentrantLock();
  private @Nullable BlockDevice device;
  private @Nullable Attachment attachment;
  private @Nullable Reporter reporter;
  private @Nullable IOException detachFailure;
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

  /** Takes over the attachment and says that it serves. */
  void ready(Attachment attachment, long sizeBytes) {
    locked(
        () -> {
          this.attachment = attachment;
          if (attachment.place().startsWith("/dev/")) {
            Signals.onStop(() -> requestStop(attachment));
          }
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
        locked(() -> detachFailure = e);
      }
    }
    return stop();
  }

  /**
   * A signal, while a kernel device is served: it may be in use, and stays then. The next signal
   * forces it. Once it is detached, {@link #await} goes on.
   */
  void requestStop(Attachment attachment) {
    try {
      attachment.close();
    } catch (DeviceInUseException e) {
      err.println(program + ": " + e.getMessage());
    } catch (IOException e) {
      locked(() -> detachFailure = e);
    }
  }

  /** Stops what is served; the second time, gives the code of the first. */
  private int stop() {
    lock.lock();
    try {
      if (stopped) {
        return code;
      }
      stopped = true;
      IOException failure = close(attachment, detachFailure);
      if (reporter != null) {
        reporter.close();
      }
      failure = close(device, failure);
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
