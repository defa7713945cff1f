/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Says who uses a block device: mounts, swap, stacked devices and processes that have it open.
 *
 * <p>For messages. Whether a device is free is decided by opening it exclusively, which also knows
 * of mounts in namespaces that cannot be seen from here.
 */
final class KernelHolders {

  private static final Path PROC = Path.of("/proc");

  private KernelHolders() {}

  /**
   * Lists the users of a device and of its partitions, each as words; this process and the one that
   * serves the device are left out.
   */
  static List<String> of(KernelDevice device) throws IOException {
    Set<String> names = names(device);
    Set<String> users = new LinkedHashSet<>();
    for (KernelMounts.Mount mount : KernelMounts.read(PROC.resolve("self/mountinfo"))) {
      if (names.contains(mount.source())) {
        users.add("mounted on " + mount.point());
      }
    }
    for (String line : lines(PROC.resolve("swaps"))) {
      if (names.contains(line.split("\\s+", 2)[0])) {
        users.add("swap space");
      }
    }
    Path holders = device.sysfs().resolve("holders");
    if (Files.isDirectory(holders)) {
      try (DirectoryStream<Path> stacked = Files.newDirectoryStream(holders)) {
        stacked.forEach(path -> users.add("device " + path.getFileName()));
      }
    }
    users.addAll(openers(device, names));
    return new ArrayList<>(users);
  }

  private static Set<String> names(KernelDevice device) throws IOException {
    Set<String> names = new LinkedHashSet<>();
    names.add(device.path());
    if (device.exists()) {
      try (DirectoryStream<Path> parts =
          Files.newDirectoryStream(device.sysfs(), device.name() + "p*")) {
        parts.forEach(path -> names.add("/dev/" + path.getFileName()));
      }
    }
    return names;
  }

  /** Lists processes that have the device itself open, as far as we may look. */
  static List<String> openers(KernelDevice device) throws IOException {
    return openers(device, Set.of(device.path()));
  }

  private static List<String> openers(KernelDevice device, Set<String> names) throws IOException {
    List<String> openers = new ArrayList<>();
    String self = Long.toString(ProcessHandle.current().pid());
    String server = KernelRuntime.server(device.name()).orElse(self);
    try (DirectoryStream<Path> processes = Files.newDirectoryStream(PROC, "[0-9]*")) {
      for (Path process : processes) {
        String pid = process.getFileName().toString();
        if (!pid.equals(self) && !pid.equals(server) && hasOpen(process.resolve("fd"), names)) {
          openers.add("process " + pid + name(process).map(n -> " (" + n + ")").orElse(""));
        }
      }
    }
    return openers;
  }

  private static boolean hasOpen(Path fds, Set<String> names) {
    try (DirectoryStream<Path> links = Files.newDirectoryStream(fds)) {
      for (Path link : links) {
        if (names.contains(target(link))) {
          return true;
        }
      }
      return false;
    } catch (IOException | DirectoryIteratorException e) {
      return false; // ended meanwhile, or not ours to see
    }
  }

  private static String target(Path link) throws IOException {
    try {
      return Files.readSymbolicLink(link).toString();
    } catch (NoSuchFileException e) {
      return ""; // closed meanwhile
    }
  }

  private static Optional<String> name(Path process) {
    try {
      return Optional.of(Files.readString(process.resolve("comm")).strip());
    } catch (IOException e) {
      return Optional.empty(); // ended meanwhile
    }
  }

  private static List<String> lines(Path path) throws IOException {
    return Files.isReadable(path) ? Files.readAllLines(path) : List.of();
  }
}
