/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheMismatchException;
import io.uloop.SourceIdentity;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Sees to it that each file of a pair is one of its own: what is written to one must not land in
 * another, nor in the source.
 */
final class PairNames {

  private PairNames() {}

  /** The file that says what the pair was made from. */
  static Path sidecarOf(Path bitmapFile) {
    return bitmapFile.resolveSibling(bitmapFile.getFileName() + ".meta");
  }

  /** The file of checksums. */
  static Path checksumsOf(Path bitmapFile) {
    return bitmapFile.resolveSibling(bitmapFile.getFileName() + ".crc");
  }

  /** All names that a pair has by its two, with what the file is. */
  private static Map<String, Path> all(Path cacheFile, Path bitmapFile) {
    Map<String, Path> names = new LinkedHashMap<>();
    names.put("cache file", cacheFile);
    names.put("bitmap file", bitmapFile);
    names.put("sidecar", sidecarOf(bitmapFile));
    names.put("new sidecar", Storage.freshOf(sidecarOf(bitmapFile)));
    names.put("checksum file", checksumsOf(bitmapFile));
    return names;
  }

  /**
   * Looks at the names alone.
   *
   * @throws IllegalArgumentException if two are the same path
   */
  static void requireDistinct(Path cacheFile, Path bitmapFile) {
    Map<Path, String> seen = new LinkedHashMap<>();
    for (Map.Entry<String, Path> name : all(cacheFile, bitmapFile).entrySet()) {
      String other = seen.put(name.getValue().toAbsolutePath().normalize(), name.getKey());
      if (other != null) {
        throw new IllegalArgumentException(
            other
                + " and "
                + name.getKey()
                + " are one: cacheFile="
                + cacheFile
                + " bitmapFile="
                + bitmapFile);
      }
    }
  }

  /**
   * Looks at the files that are there: two names may be of one, by a link.
   *
   * @throws CacheMismatchException if they are
   */
  static void requireDistinct(Storage storage, CachePair paths) throws IOException {
    Map<String, String> seen = new LinkedHashMap<>();
    for (Map.Entry<String, Path> name : all(paths.cacheFile(), paths.bitmapFile()).entrySet()) {
      Path path = name.getValue();
      String key = key(storage, path);
      if (key != null) {
        String what = name.getKey() + " " + path;
        String other = seen.put(key, what);
        if (other != null) {
          throw new CacheMismatchException(
              other + " and " + what + " are one file; each wants one of its own");
        }
      }
    }
  }

  /**
   * Holds the files that are there against the source: to make a pair anew empties its files.
   *
   * @throws CacheMismatchException if the source is a file of this machine, and of the pair
   */
  static void requireNotTheSource(Storage storage, CachePair paths, SourceIdentity source)
      throws IOException {
    for (Path local : localFiles(source.uri())) {
      String key = key(storage, local);
      if (key == null) {
        continue;
      }
      for (Map.Entry<String, Path> name : all(paths.cacheFile(), paths.bitmapFile()).entrySet()) {
        Path path = name.getValue();
        if (key.equals(key(storage, path))) {
          throw new CacheMismatchException(
              name.getKey()
                  + " "
                  + path
                  + " is the source itself, "
                  + source.uri()
                  + "; name another file");
        }
      }
    }
  }

  /** Device and inode of a file; null if it is not there, or just went. */
  private static @Nullable String key(Storage storage, Path path) throws IOException {
    try {
      return storage.exists(path) ? storage.key(path) : null;
    } catch (NoSuchFileException e) {
      return null;
    } catch (IOException e) {
      throw PairFailures.of(path, "look", e);
    }
  }

  /** What a URI of a local file may mean: a path as it is, or one that is percent-encoded. */
  private static List<Path> localFiles(String uri) {
    if (!uri.startsWith("file:")) {
      return List.of();
    }
    String given = uri.substring("file:".length());
    // Of a URI with a host, or an empty one, the path begins after it.
    String path =
        given.startsWith("//") ? given.substring(Math.max(1, given.indexOf('/', 2))) : given;
    List<Path> paths = new ArrayList<>();
    for (boolean encoded : new boolean[] {false, true}) {
      try {
        paths.add(
            Path.of(
                encoded
                    ? URLDecoder.decode(path.replace("+", "%2B"), StandardCharsets.UTF_8)
                    : path));
      } catch (IllegalArgumentException e) {
        // then it does not mean that
      }
    }
    return paths;
  }
}
