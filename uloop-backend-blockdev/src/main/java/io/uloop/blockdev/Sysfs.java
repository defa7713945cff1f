/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import io.uloop.Validator;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What the kernel tells of a block device in sysfs.
 *
 * <p><b>Source:</b> Linux, Documentation/ABI/stable/sysfs-block and testing/sysfs-block-*.
 */
final class Sysfs {

  private final Path root;

  /**
   * Makes one.
   *
   * @param root where sysfs is mounted
   */
  Sysfs(Path root) {
    this.root = root;
  }

  /** Tells whether a disk, or the disk of a partition, spins; {@code false} if not known. */
  boolean rotational(long device) {
    return disk(device)
        .flatMap(disk -> line(disk.resolve("queue/rotational")))
        .orElse("")
        .equals("1");
  }

  /**
   * Gives what tells this device from another at the same path.
   *
   * <p>A serial number or the like lasts; for a partition its number and start are added. Without
   * one, what stands behind a loop device; else the device number, which says little but never that
   * two things are one.
   */
  Validator validator(long device) {
    Optional<Path> disk = disk(device);
    String part = disk.isPresent() ? partition(directory(device)) : "";
    for (String file : new String[] {"serial", "device/serial", "wwid", "device/wwid", "dm/uuid"}) {
      Optional<String> serial = disk.flatMap(d -> line(d.resolve(file)));
      if (serial.isPresent()) {
        return new Validator(Validator.Kind.SERIAL, serial.get() + part);
      }
    }
    String other =
        disk.flatMap(d -> line(d.resolve("loop/backing_file")))
            .map(file -> "loop over " + file)
            .orElse(major(device) + ":" + minor(device));
    return new Validator(Validator.Kind.OTHER, other + part);
  }

  private Path directory(long device) {
    return root.resolve("dev/block/" + major(device) + ":" + minor(device));
  }

  private Optional<Path> disk(long device) {
    try {
      Path directory = directory(device).toRealPath();
      Path disk = directory;
      if (Files.exists(directory.resolve("partition")) && directory.getParent() != null) {
        disk = directory.getParent();
      }
      return Optional.of(disk);
    } catch (IOException e) {
      // No such device, as for the anonymous ones that btrfs or overlayfs have, or no sysfs.
      return Optional.empty();
    }
  }

  private String partition(Path directory) {
    return line(directory.resolve("partition"))
        .map(n -> " partition " + n + " at " + line(directory.resolve("start")).orElse("?"))
        .orElse("");
  }

  private static Optional<String> line(Path file) {
    try {
      String text = Files.readString(file, StandardCharsets.ISO_8859_1).strip();
      return text.isEmpty() ? Optional.empty() : Optional.of(text.replaceAll("\\s+", " "));
    } catch (IOException e) {
      // Most devices have only some of the files.
      return Optional.empty();
    }
  }

  // makedev(3) as glibc has it: the numbers are spread over the 64 bits.
  static long major(long device) {
    return ((device >>> 8) & 0xfff) | ((device >>> 32) & ~0xfffL);
  }

  static long minor(long device) {
    return (device & 0xff) | ((device >>> 12) & 0xffffff00L);
  }
}
