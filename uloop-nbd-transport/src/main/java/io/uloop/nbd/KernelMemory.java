/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * Keeps a process that serves a writable kernel device from waiting for itself.
 *
 * <p>When memory is short, a thread that asks for some may be made to write dirty pages first. If
 * they belong to the device that this very thread serves, nothing moves any more. A thread that is
 * an <em>I/O flusher</em> is never made to; threads that it starts inherit that, as do programs
 * that it turns into. The JVM's own threads (collector, compiler) exist before any Java code runs,
 * so the whole of it is protected only if the flag is set before the JVM starts; {@code
 * docs/kernel-attach.md} shows how.
 *
 * <p><b>Threads:</b> safe for any.
 *
 * <p><b>Source:</b> PR_SET_IO_FLUSHER(2const), mlockall(2).
 *
 * @since 0.1
 */
public final class KernelMemory {

  static final int PR_SET_IO_FLUSHER = 57;
  static final int PR_GET_IO_FLUSHER = 58;

  private static final int MCL_CURRENT = 1;
  private static final int MCL_FUTURE = 2;
  private static final int MCL_ONFAULT = 4;

  private static final System.Logger LOG = System.getLogger(KernelMemory.class.getName());

  private KernelMemory() {}

  /**
   * Makes the calling thread, and those that it starts from now on, I/O flushers.
   *
   * <p>For the first lines of a program that serves a writable device. Needs CAP_SYS_RESOURCE and
   * Linux 5.6.
   *
   * @throws IOException if that is not allowed, or not known here
   */
  public static void becomeFlusher() throws IOException {
    becomeFlusher(NativeCalls.load());
  }

  /**
   * Keeps the memory of this process from being paged out, as far as it is and gets used.
   *
   * <p>Without swap it is the program's code that this keeps in memory. Needs CAP_IPC_LOCK or a
   * memlock limit above what the JVM uses.
   *
   * @throws IOException if that is not allowed
   */
  public static void lock() throws IOException {
    NativeCalls.load().mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
  }

  static void becomeFlusher(NativeCalls calls) throws NativeException {
    calls.prctl("PR_SET_IO_FLUSHER", PR_SET_IO_FLUSHER, 1);
  }

  static boolean isFlusher(NativeCalls calls) throws NativeException {
    return calls.prctl("PR_GET_IO_FLUSHER", PR_GET_IO_FLUSHER, 0) == 1;
  }

  /** What is to start threads that are flushers. */
  interface Start<T> {
    T run() throws IOException;
  }

  /**
   * Runs something on a thread of its own that is a flusher, so that the caller's stays what it is.
   * If the right is missing that is logged, and the work done all the same.
   */
  static <T> T onFlusherThread(NativeCalls calls, Start<T> start) throws IOException {
    CompletableFuture<T> result = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                becomeFlusher(calls);
              } catch (NativeException e) {
                LOG.log(
                    System.Logger.Level.WARNING,
                    () -> "writes may wait for themselves when memory is short: " + e.getMessage());
              }
              try {
                result.complete(start.run());
              } catch (IOException | RuntimeException | Error e) {
                result.completeExceptionally(e);
              }
            },
            "uloop-flusher");
    thread.setDaemon(true);
    thread.start();
    try {
      return result.join(); // Whatever comes: what is being started would have nobody to end it.
    } catch (CompletionException e) {
      if (e.getCause() instanceof IOException failure) {
        throw failure;
      }
      throw new IOException(e.getCause());
    }
  }
}
