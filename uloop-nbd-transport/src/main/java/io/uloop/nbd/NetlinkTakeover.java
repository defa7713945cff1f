/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Finds the device that a launcher before us left behind, and decides whether it may go on with
 * what we serve.
 */
final class NetlinkTakeover {

  private static final Path SYS_BLOCK = Path.of("/sys/block");

  private NetlinkTakeover() {}

  /**
   * Looks for a configured device by identifier.
   *
   * @param calls the C library
   * @param wanted the device that it must be, or empty for any
   * @param identifier the identifier; without one nothing is taken over
   * @return its index, empty if there is none
   */
  static OptionalInt find(NativeCalls calls, OptionalInt wanted, Optional<String> identifier)
      throws IOException {
    if (identifier.isEmpty()) {
      return OptionalInt.empty();
    }
    if (wanted.isPresent()) {
      return has(new KernelDevice(calls, "nbd" + wanted.getAsInt()), identifier)
          ? wanted
          : OptionalInt.empty();
    }
    if (!Files.isDirectory(SYS_BLOCK)) {
      return OptionalInt.empty();
    }
    try (DirectoryStream<Path> devices = Files.newDirectoryStream(SYS_BLOCK, "nbd*")) {
      for (Path path : devices) {
        KernelDevice device = new KernelDevice(calls, path.getFileName().toString());
        if (has(device, identifier)) {
          return OptionalInt.of(device.index());
        }
      }
    }
    return OptionalInt.empty();
  }

  private static boolean has(KernelDevice device, Optional<String> identifier) throws IOException {
    return device.attribute("backend").equals(identifier) && device.attribute("pid").isPresent();
  }

  /** Says what a device is told about an export. */
  static NetlinkNbd.Configuration configuration(
      KernelHandshake.Export export, KernelSettings settings) {
    if (export.minimumBlockBytes() > settings.blockBytes()) {
      throw new IllegalArgumentException(
          "the device needs requests aligned to "
              + export.minimumBlockBytes()
              + " bytes: "
              + KernelSettings.BLOCK_SIZE
              + "="
              + settings.blockBytes());
    }
    return new NetlinkNbd.Configuration(
        wholeBlocks(export.size(), settings),
        settings.blockBytes(),
        export.flags() | (settings.readOnly() ? KernelHandshake.FLAG_READ_ONLY : 0),
        settings.timeouts(),
        settings.identifier());
  }

  /**
   * Refuses a device of another size or with other rights, which no reconfiguration can change
   * under a mounted file system.
   */
  static void check(KernelDevice device, KernelHandshake.Export export, KernelSettings settings)
      throws IOException {
    long size = wholeBlocks(export.size(), settings);
    boolean readOnly = export.readOnly() || settings.readOnly();
    if (device.sizeBytes() != size || device.readOnly() != readOnly) {
      throw new IOException(
          device
              + " cannot be taken over: it has "
              + device.sizeBytes()
              + " bytes"
              + (device.readOnly() ? ", read-only" : "")
              + ", the export "
              + size
              + (readOnly ? ", read-only" : ""));
    }
  }

  private static long wholeBlocks(long size, KernelSettings settings) {
    return size - size % settings.blockBytes();
  }
}
