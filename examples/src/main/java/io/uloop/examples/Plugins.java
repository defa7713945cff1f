/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockSources;
import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;

/** Finds sources in the jars of a directory, next to those that are built in. */
final class Plugins {

  private Plugins() {}

  /**
   * Gives the sources. A jar that cannot be opened is left out and named in the log.
   *
   * @param directory whose jars to add; the class loader over them stays open, as a source may load
   *     classes as long as it lives
   */
  static BlockSources in(Path directory) throws IOException {
    List<URL> jars = new ArrayList<>();
    if (!Files.isDirectory(directory)) {
      throw new IllegalArgumentException("no directory of plug-ins: " + directory);
    }
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*.jar")) {
      for (Path jar : files) {
        if (canBeOpened(jar)) {
          jars.add(url(jar));
        }
      }
    }
    ClassLoader parent = BlockSources.class.getClassLoader();
    return BlockSources.in(new URLClassLoader("plugins", jars.toArray(URL[]::new), parent));
  }

  /** Tells whether it can, and warns if not: a class loader passes over it without a word. */
  private static boolean canBeOpened(Path jar) {
    if (Files.isDirectory(jar)) {
      return true; // of classes, which need no opening
    }
    if (Files.exists(jar) && !Files.isRegularFile(jar)) {
      warn(jar, "not a regular file"); // to open a pipe would be to wait
      return false;
    }
    try (JarFile opened = new JarFile(jar.toFile())) {
      return opened.size() >= 0;
    } catch (IOException | RuntimeException e) {
      warn(jar, e.toString());
      return false;
    }
  }

  private static void warn(Path jar, String why) {
    System.getLogger("io.uloop.examples")
        .log(
            System.Logger.Level.WARNING,
            () -> "left out, as it cannot be opened: " + jar + ": " + why);
  }

  private static URL url(Path jar) throws MalformedURLException {
    return jar.toAbsolutePath().toUri().toURL();
  }
}
