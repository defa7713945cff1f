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

/** Finds sources in the jars of a directory, next to those that are built in. */
final class Plugins {

  private Plugins() {}

  /**
   * Gives the sources.
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
        jars.add(url(jar));
      }
    }
    ClassLoader parent = BlockSources.class.getClassLoader();
    return BlockSources.in(new URLClassLoader("plugins", jars.toArray(URL[]::new), parent));
  }

  private static URL url(Path jar) throws MalformedURLException {
    return jar.toAbsolutePath().toUri().toURL();
  }
}
