/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheFormatException;
import io.uloop.SourceIdentity;
import io.uloop.Validator;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;

/**
 * What a pair was made from, as the file beside it says.
 *
 * <p>Text in UTF-8, one {@code key value} per line; the first line has the format's name and
 * version, the last a CRC32C of all bytes before it. Unknown keys are kept out of the way of newer
 * writers of the same version: they are ignored.
 *
 * <pre>
 * uloop-pair 1
 * uri http://host/image
 * size 2147483648
 * validator ETAG "65a-1f"
 * block-size 4096
 * cache-file 2049:1234567:3f0c…  device, inode and mark, to notice a replaced file
 * checksums all                  all: each present block has one; some: those that have one
 * bitmap 9f3a0c11                CRC32C of the bitmap after a clean close, else "open"
 * writer uloop 0.1.0
 * crc32c 5e8a1b2c
 * </pre>
 *
 * @param identity the source
 * @param blockSizeBytes the unit of the bitmap
 * @param cacheFileKey device, inode and mark of the cache file
 * @param checksums whether every present block has a checksum
 * @param bitmapChecksum CRC32C of the bitmap file; empty while the pair is open (or after a crash)
 * @param writer what wrote it
 */
record Sidecar(
    SourceIdentity identity,
    int blockSizeBytes,
    String cacheFileKey,
    boolean checksums,
    Optional<Integer> bitmapChecksum,
    String writer) {

  static final int VERSION = 1;
  private static final String NAME = "uloop-pair";

  byte[] toBytes() {
    StringBuilder text = new StringBuilder();
    text.append(NAME).append(' ').append(VERSION).append('\n');
    text.append("uri ").append(identity.uri()).append('\n');
    text.append("size ").append(identity.size()).append('\n');
    identity
        .validator()
        .ifPresent(
            v ->
                text.append("validator ")
                    .append(v.kind())
                    .append(' ')
                    .append(v.value())
                    .append('\n'));
    text.append("block-size ").append(blockSizeBytes).append('\n');
    text.append("cache-file ").append(cacheFileKey).append('\n');
    text.append("checksums ").append(checksums ? "all" : "some").append('\n');
    text.append("bitmap ")
        .append(bitmapChecksum.map(Integer::toHexString).orElse("open"))
        .append('\n');
    text.append("writer ").append(writer).append('\n');
    return (text + "crc32c " + crc(text.toString()) + "\n").getBytes(StandardCharsets.UTF_8);
  }

  private static String crc(String text) {
    CRC32C crc = new CRC32C();
    crc.update(text.getBytes(StandardCharsets.UTF_8));
    return String.format("%08x", crc.getValue());
  }

  /** Whether these are the bytes of a sidecar, though perhaps of a damaged or newer one. */
  static boolean isOne(byte[] bytes) {
    return new String(bytes, StandardCharsets.UTF_8).startsWith(NAME + " ");
  }

  /**
   * Reads a sidecar.
   *
   * @throws CacheFormatException if it is none, is damaged, or is of a newer version
   */
  static Sidecar parse(Path file, byte[] bytes) throws CacheFormatException {
    String text = new String(bytes, StandardCharsets.UTF_8);
    if (!isOne(bytes)) {
      throw new CacheFormatException(file + ": is no sidecar: does not begin with '" + NAME + "'");
    }
    String version =
        text.substring(NAME.length() + 1, Math.max(NAME.length() + 1, text.indexOf('\n')));
    if (!version.equals(Integer.toString(VERSION))) {
      throw new CacheFormatException(
          file + ": format version " + version + ", this program knows " + VERSION);
    }
    int last = text.lastIndexOf("\ncrc32c ") + 1;
    if (last == 0
        || !text.substring(last).equals("crc32c " + crc(text.substring(0, last)) + "\n")) {
      throw new CacheFormatException(
          file + ": is damaged: its checksum line does not fit its " + bytes.length + " bytes");
    }
    Map<String, String> values = new LinkedHashMap<>();
    for (String line : text.substring(0, last).split("\n", -1)) {
      int space = line.indexOf(' ');
      if (space > 0) {
        values.put(line.substring(0, space), line.substring(space + 1));
      }
    }
    try {
      long size = Long.parseLong(required(values, "size"));
      int blockSizeBytes = Integer.parseInt(required(values, "block-size"));
      return new Sidecar(
          new SourceIdentity(
              required(values, "uri"),
              size,
              Optional.ofNullable(values.get("validator")).map(Sidecar::validator)),
          new Geometry(size, blockSizeBytes).blockSizeBytes(),
          required(values, "cache-file"),
          required(values, "checksums").equals("all"),
          Optional.of(required(values, "bitmap"))
              .filter(v -> !v.equals("open"))
              .map(v -> Integer.parseUnsignedInt(v, 16)),
          required(values, "writer"));
    } catch (IllegalArgumentException e) {
      throw new CacheFormatException(file + ": is damaged: " + e.getMessage(), e);
    }
  }

  private static Validator validator(String text) {
    int space = text.indexOf(' ');
    return new Validator(
        Validator.Kind.valueOf(text.substring(0, Math.max(space, 0))), text.substring(space + 1));
  }

  private static String required(Map<String, String> values, String key) {
    String value = values.get(key);
    if (value == null) {
      throw new IllegalArgumentException("no line '" + key + "'");
    }
    return value;
  }

  Sidecar open() {
    return new Sidecar(identity, blockSizeBytes, cacheFileKey, checksums, Optional.empty(), writer);
  }
}
