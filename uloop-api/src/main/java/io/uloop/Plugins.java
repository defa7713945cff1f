/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Goes through the providers of a service. One that cannot be loaded (compiled for a newer Java, a
 * class missing), or that fails at the first question, is left out and named in the log: it must
 * not take the others with it.
 */
final class Plugins {

  private static final System.Logger LOG = System.getLogger("io.uloop");

  // In a row. A class loader that never does anything else must not be asked for ever.
  private static final int MOST_FAILURES = 100;

  // By what is said of it, as some are found at each step anew.
  private final Map<String, Throwable> broken = new LinkedHashMap<>();

  private Plugins() {}

  /**
   * Goes through them.
   *
   * @param service what they provide; this module uses it
   * @param loader where they are
   * @param question asked of each; may throw anything, which leaves this one out
   * @return what was left out
   */
  static <S> Plugins each(Class<S> service, ClassLoader loader, Consumer<S> question) {
    Plugins plugins = new Plugins();
    Noting noting = new Noting(loader);
    Iterator<S> each = ServiceLoader.load(service, noting).iterator();
    for (int failures = 0; failures < MOST_FAILURES; ) {
      noting.last = null;
      try {
        if (!each.hasNext()) {
          break;
        }
        S provider = each.next();
        noting.last = provider.getClass().getName();
        question.accept(provider);
        failures = 0;
      } catch (VirtualMachineError e) {
        throw e;
      } catch (Throwable e) {
        // ServiceLoader goes on with the next one, whichever of the two threw.
        failures++;
        plugins.leaveOut(service, noting.last, e);
      }
    }
    return plugins;
  }

  private void leaveOut(Class<?> service, @Nullable String name, Throwable e) {
    String what;
    if (e instanceof ServiceConfigurationError) {
      // It names the provider, or the file that names them; why is in the cause.
      what = e.getMessage() + (e.getCause() == null ? "" : ": " + e.getCause());
    } else {
      what = service.getName() + ": " + (name == null ? "" : "Provider " + name + ": ") + e;
    }
    if (broken.putIfAbsent(what, e) == null) {
      LOG.log(System.Logger.Level.WARNING, () -> "left out, as it cannot be used: " + what);
    }
  }

  /** Gives the end of a message: what was left out; empty if nothing was. */
  String leftOut() {
    return broken.isEmpty() ? "" : "; left out, as they cannot be used: " + broken.keySet();
  }

  /** Adds to an exception why they were left out. */
  <E extends Exception> E tell(E failure) {
    broken.values().forEach(failure::addSuppressed);
    return failure;
  }

  /**
   * Knows which class it was last asked for. A LinkageError names what the provider's class lacks,
   * and not that class.
   */
  private static final class Noting extends ClassLoader {
    private @Nullable String last;

    Noting(ClassLoader parent) {
      super(parent);
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      last = name;
      return super.loadClass(name, resolve);
    }
  }
}
