/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Hears SIGTERM and SIGINT without the JVM's own answer to them, which cannot be taken back once
 * begun.
 *
 * <p>By reflection: the class for it, {@code sun.misc.Signal}, is there in every JDK but is no API,
 * so the compiler warns of it in a way that no annotation silences.
 */
final class Signals {

  private Signals() {}

  /**
   * Has an action run for each such signal from now on, on a thread of its own.
   *
   * @return whether that works here; if not, signals end the JVM as ever
   */
  static boolean onStop(Runnable action) {
    try {
      Class<?> signal = Class.forName("sun.misc.Signal");
      Class<?> handler = Class.forName("sun.misc.SignalHandler");
      Object ours =
          Proxy.newProxyInstance(
              handler.getClassLoader(),
              new Class<?>[] {handler},
              (proxy, method, arguments) -> {
                if (method.getName().equals("handle")) {
                  action.run();
                }
                return null;
              });
      for (String name : new String[] {"TERM", "INT"}) {
        signal
            .getMethod("handle", signal, handler)
            .invoke(null, signal.getConstructor(String.class).newInstance(name), ours);
      }
      return true;
    } catch (ReflectiveOperationException | IllegalArgumentException e) {
      assert e instanceof ClassNotFoundException || e instanceof InvocationTargetException;
      return false;
    }
  }

  /**
   * Has an action run at the first signal, which is to end the work in hand; a second one ends the
   * process at once, as a crash would.
   */
  static void onStopOnce(Runnable action) {
    AtomicBoolean asked = new AtomicBoolean();
    onStop(
        () -> {
          if (asked.getAndSet(true)) {
            Runtime.getRuntime().halt(LaunchCommand.EXIT_FAILURE);
          }
          action.run();
        });
  }
}
