/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;

/**
 * Finds the block devices that a file is on, through partitions, stacked devices and loop devices.
 *
 * <p>Looks at tables only, never at the file: if it is on a device that waits for its server, even
 * a stat would wait too.
 *
 * <p><b>Source:</b> proc_pid_mountinfo(5); the kernel's Documentation/ABI on /sys/dev/block.
 */
final class KernelStack {

  private final Path mountinfo;
  private final Path sysDevBlock;

  /**
   * Makes one that looks at other tables than this machine's.
   *
   * @param mountinfo the table of mounts
   * @param sysDevBlock the directory of devices by number
   */
  KernelStack(Path mountinfo, Path sysDevBlock) {
    this.mountinfo = mountinfo;
    this.sysDevBlock = sysDevBlock;
  }

  static KernelStack ofThisMachine() {
    return new KernelStack(Path.of("/proc/self/mountinfo"), Path.of("/sys/dev/block"));
  }

  /** Gives the kernel's names of all devices below a file, or of the device that the path names. */
  Set<String> devicesUnder(Path file) throws IOException {
    Set<String> names = new LinkedHashSet<>();
    addUnder(file, names);
    return names;
  }

  private void addUnder(Path file, Set<String> names) throws IOException {
    Path absolute = file.toAbsolutePath().normalize();
    if (absolute.startsWith("/dev") && absolute.getNameCount() == 2) {
      names.add(absolute.getFileName().toString());
    }
    Optional<KernelMounts.Mount> mount = mountOf(absolute);
    if (mount.isEmpty()) {
      return;
    }
    // A file system of several devices has a number of its own and names only one of them.
    Path source = Path.of(mount.get().source());
    if (source.startsWith("/dev") && source.getNameCount() >= 2) {
      addNamed(source.getFileName().toString(), names);
    }
    Path device = sysDevBlock.resolve(mount.get().deviceNumber());
    if (Files.exists(device)) {
      addDevice(device.toRealPath(), names);
    }
  }

  private void addNamed(String name, Set<String> names) throws IOException {
    try (DirectoryStream<Path> devices = Files.newDirectoryStream(sysDevBlock)) {
      for (Path device : devices) {
        Path real = device.toRealPath();
        if (real.getFileName().toString().equals(name)) {
          addDevice(real, names);
        }
      }
    }
  }

  private void addDevice(Path device, Set<String> names) throws IOException {
    if (!names.add(device.getFileName().toString())) {
      return;
    }
    if (Files.exists(device.resolve("partition"))) {
      addDevice(device.resolve("..").normalize(), names);
    }
    Path slaves = device.resolve("slaves");
    if (Files.isDirectory(slaves)) {
      try (DirectoryStream<Path> below = Files.newDirectoryStream(slaves)) {
        for (Path slave : below) {
          addDevice(slave.toRealPath(), names);
        }
      }
    }
    Path backing = device.resolve("loop/backing_file");
    if (Files.exists(backing)) {
      addUnder(Path.of(Files.readString(backing).strip()), names);
    }
  }

  /** Finds the mount with the longest point above a path; of two at the same, the later hides. */
  private Optional<KernelMounts.Mount> mountOf(Path absolute) throws IOException {
    KernelMounts.Mount best = null;
    int length = -1;
    for (KernelMounts.Mount mount : KernelMounts.read(mountinfo)) {
      Path point = Path.of(mount.point());
      if (absolute.startsWith(point) && point.getNameCount() >= length) {
        best = mount;
        length = point.getNameCount();
      }
    }
    return Optional.ofNullable(best);
  }
}
