/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.atomic.AtomicReference;

/** A thread that runs something to its end, and keeps what that throws. */
final class OtherThread {

  /** Something that a thread does until it is closed, or sent what it waits for. */
  interface Action {
    void run() throws Exception;
  }

  private final AtomicReference<Throwable> failure = new AtomicReference<>();
  private final Thread thread;

  OtherThread(Action action) {
    thread =
        new Thread(
            () -> {
              try {
                action.run();
              } catch (Throwable e) {
                failure.set(e);
              }
            });
    thread.start();
  }

  Thread thread() {
    return thread;
  }

  /** Returns once it waits in the kernel, which looks like running; so by its stack. */
  void awaitWaiting() {
    while (thread.isAlive() && !waits()) {
      Thread.onSpinWait();
    }
    assertThat(thread.isAlive()).isTrue();
  }

  private boolean waits() {
    for (StackTraceElement frame : thread.getStackTrace()) {
      if (frame.getMethodName().equals("select")) {
        return true;
      }
    }
    return false;
  }

  /** Waits for its end; gives what it threw, or null. */
  Throwable end() throws InterruptedException {
    thread.join();
    return failure.get();
  }
}
