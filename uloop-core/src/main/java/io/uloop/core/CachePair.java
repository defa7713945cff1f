/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Objects;

/**
 * The files of one device's cache.
 *
 * @param cacheFile the image's bytes at their own offsets
 * @param bitmapFile which blocks are there
 * @since 0.1
 */
public record CachePair(Path cacheFile, Path bitmapFile) {

  /**
   * Checks that all files of the pair have names of their own.
   *
   * @param cacheFile see the record
   * @param bitmapFile see the record
   * @throws IllegalArgumentException if both are the same path, or the cache file's is that of one
   *     that stands beside the bitmap file ({@code .meta}, {@code .meta.new}, {@code .crc})
   */
  public CachePair {
    Objects.requireNonNull(cacheFile, "cacheFile");
    Objects.requireNonNull(bitmapFile, "bitmapFile");
    PairNames.requireDistinct(cacheFile, bitmapFile);
  }

  /**
   * Gives the pair of a place under the user's cache directory; the same place, the same pair.
   *
   * <p>The directory is {@code $XDG_CACHE_HOME/uloop}, else {@code ~/.cache/uloop} (XDG Base
   * Directory Specification). The files are named after the place's last part and a digest of the
   * whole.
   *
   * @param place a URI or an absolute path
   * @return the pair; nothing is created
   */
  public static CachePair inUserCache(String place) {
    return inUserCache(place, System.getenv(), System.getProperty("user.home", "."));
  }

  static CachePair inUserCache(String place, Map<String, String> environment, String home) {
    String xdg = environment.getOrDefault("XDG_CACHE_HOME", "");
    // The specification says to ignore a relative path.
    Path base = xdg.startsWith("/") ? Path.of(xdg) : Path.of(home, ".cache");
    String name = place.replaceFirst("[?#].*$", "").replaceFirst("/+$", "");
    name = name.substring(name.lastIndexOf('/') + 1).replaceAll("[^A-Za-z0-9._-]", "_");
    name = name.substring(0, Math.min(name.length(), 80));
    Path directory = base.resolve("uloop");
    String stem = (name.isEmpty() ? "image" : name) + "-" + digest(place);
    return new CachePair(directory.resolve(stem + ".cache"), directory.resolve(stem + ".bitmap"));
  }

  private static String digest(String text) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }

  /**
   * Gives the file that says what the pair was made from.
   *
   * @return the bitmap file's path with {@code .meta} added
   */
  public Path sidecarFile() {
    return PairNames.sidecarOf(bitmapFile);
  }

  /**
   * Gives the file of checksums, one CRC32C per block.
   *
   * @return the bitmap file's path with {@code .crc} added
   */
  public Path checksumFile() {
    return PairNames.checksumsOf(bitmapFile);
  }

  /**
   * Removes the files of a pair that is not in use, and with them what was read.
   *
   * <p>Files that do not look like a pair are not touched, nor is any if the cache file is not that
   * of which the sidecar speaks. Of a symbolic link what it leads to is removed, too. Cut short by
   * a crash, what is left can be opened as an empty pair or discarded again.
   *
   * @return whether there was anything to remove
   * @throws io.uloop.CacheInUseException if a device or another process has the pair
   * @throws io.uloop.CacheMismatchException if the files are no pair, or two of them are one
   * @throws io.uloop.CacheFormatException if the sidecar is no sidecar
   * @throws io.uloop.CacheIoException if a file cannot be removed
   */
  public boolean discard() throws IOException {
    return new PairDiscard(new LocalStorage(), this).run();
  }

  /**
   * Tells whether any file of the pair is there.
   *
   * @return whether it is
   */
  public boolean exists() {
    return Files.exists(cacheFile) || Files.exists(bitmapFile) || Files.exists(sidecarFile());
  }
}
