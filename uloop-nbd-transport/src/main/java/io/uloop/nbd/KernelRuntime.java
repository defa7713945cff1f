/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The private directory of one attachment, and the name it can be found by.
 *
 * <pre>
 *   /run/uloop/                   mode 0700
 *     attach-714-8123412345/      mode 0700, one for each attachment; 714 is the process
 *       sock                      where the server listens, for the kernel's links only; a link,
 *                                 if the server is not ours
 *       fuse/disk                 the mount of a loop device
 *     nbd0 -> attach-714-81...    which attachment serves the device
 * </pre>
 *
 * The process is part of the name so that there is no moment, when the directory comes or goes, at
 * which nobody could tell that it is abandoned. Older ones have a file, {@code pid}.
 *
 * <p>Somebody serves a device as long as its socket takes connections. What a killed process leaves
 * is removed by the next one that attaches the same device or, if it had none yet, any device; with
 * the mount, if there is one whose child was killed too.
 */
final class KernelRuntime implements Closeable {

  private static final System.Logger LOG = System.getLogger(KernelRuntime.class.getName());
  private static final Path RUN = Path.of("/run");
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");
  private static final String PREFIX = "attach-";
  private static final Pattern NAME = Pattern.compile(PREFIX + "(\\d+)-\\d+");
  private static final String PID = "pid";
  private static final String MOUNT = "fuse";
  private static final Duration PROBE = Duration.ofSeconds(2);

  private final Path base;
  private final Path directory;
  private final Path[] published = new Path[1];

  private KernelRuntime(Path base, Path directory) {
    this.base = base;
    this.directory = directory;
  }

  /** Makes a directory for an attachment. */
  static KernelRuntime create() throws IOException {
    Path base = base();
    Files.createDirectories(base, PosixFilePermissions.asFileAttribute(PRIVATE));
    if (!Files.getPosixFilePermissions(base, LinkOption.NOFOLLOW_LINKS).equals(PRIVATE)
        || !Files.isDirectory(base, LinkOption.NOFOLLOW_LINKS)) {
      throw new IOException(base + " must be a directory of mode 0700");
    }
    removeAbandoned(base);
    String prefix = PREFIX + ProcessHandle.current().pid() + "-";
    Path directory =
        Files.createTempDirectory(base, prefix, PosixFilePermissions.asFileAttribute(PRIVATE));
    return new KernelRuntime(base, directory);
  }

  /**
   * Removes what processes left that were killed before they had a device, or while they let it go.
   * What belongs to a device stays: it says who served it.
   */
  private static void removeAbandoned(Path base) throws IOException {
    Set<Path> known = new HashSet<>();
    List<Path> found = new ArrayList<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(base)) {
      for (Path entry : entries) {
        if (Files.isSymbolicLink(entry)) {
          known.add(Files.readSymbolicLink(entry));
        } else if (entry.getFileName().toString().startsWith(PREFIX)) {
          found.add(entry);
        }
      }
    }
    for (Path directory : found) {
      if (!known.contains(directory.getFileName()) && isDead(directory)) {
        try {
          removeAttachment(directory);
        } catch (IOException e) {
          // Removed by another launcher that starts now, or a mount that is still in use.
          LOG.log(System.Logger.Level.DEBUG, () -> directory + " stays: " + e.getMessage());
        }
      }
    }
  }

  /** Whether the process is gone; one of which it is not known which it is counts as living. */
  private static boolean isDead(Path directory) {
    try {
      return process(directory)
          .filter(pid -> ProcessHandle.of(Long.parseLong(pid)).isEmpty())
          .isPresent();
    } catch (NumberFormatException e) {
      return false;
    }
  }

  /** Gives the number of the process that made a directory. */
  private static Optional<String> process(Path directory) {
    Matcher name = NAME.matcher(directory.getFileName().toString());
    if (name.matches()) {
      return Optional.of(name.group(1));
    }
    try {
      return Optional.of(Files.readString(directory.resolve(PID)).strip());
    } catch (IOException e) {
      return Optional.empty(); // not ours, or not ours to see
    }
  }

  /** Gives the directory that a device is, or was, served from. */
  private static Optional<Path> directory(String deviceName) {
    try {
      return Optional.of(base().resolve(Files.readSymbolicLink(base().resolve(deviceName))));
    } catch (IOException e) {
      return Optional.empty(); // not ours, or not ours to see
    }
  }

  private static Path base() {
    // A confined service may write to its own directory there, and nowhere else.
    if (Files.isWritable(RUN) || Files.isWritable(RUN.resolve("uloop"))) {
      return RUN.resolve("uloop");
    }
    return Path.of(
        System.getProperty("java.io.tmpdir"), "uloop-" + System.getProperty("user.name"));
  }

  /** Tells whether a process serves the device. */
  static boolean isServed(NativeCalls calls, String deviceName) {
    String socket = base().resolve(deviceName).resolve("sock").toString();
    try (UnixSocket probe = UnixSocket.connect(calls, socket, PROBE)) {
      return probe.number() >= 0;
    } catch (IOException e) {
      return false; // nobody listens there
    }
  }

  /** Gives the number of the process that serves the device, or did; empty if none ever did. */
  static Optional<String> server(String deviceName) {
    return directory(deviceName).flatMap(KernelRuntime::process);
  }

  /**
   * Tells whether the process that attached the device is known and gone. Where the server is
   * another, that may still serve, with nobody to replace its links.
   */
  static boolean isAbandoned(String deviceName) {
    return directory(deviceName).filter(KernelRuntime::isDead).isPresent();
  }

  /** Tells whether a file is, or was, the mount of an attachment. */
  static boolean isMount(Path file) {
    return file.startsWith(base()) && file.endsWith("fuse/disk");
  }

  String socketPath() {
    return directory.resolve("sock").toString();
  }

  /** Has the socket be that of a server which is not ours. */
  void serveFrom(Path socket) throws IOException {
    Files.createSymbolicLink(Path.of(socketPath()), socket.toAbsolutePath());
  }

  /** Gives an empty directory to mount on. */
  Path mountPoint() throws IOException {
    return Files.createDirectories(directory.resolve(MOUNT));
  }

  /** Makes the attachment known as the one of a device, and removes what a dead one left there. */
  synchronized void publish(String deviceName) throws IOException {
    Path link = base.resolve(deviceName);
    try {
      removeAttachment(base.resolve(Files.readSymbolicLink(link)));
      Files.delete(link);
    } catch (NoSuchFileException e) {
      // The usual case: nobody died here.
    }
    Files.createSymbolicLink(link, directory.getFileName());
    published[0] = link;
  }

  @Override
  public synchronized void close() throws IOException {
    Path link = published[0];
    if (link != null
        && Files.isSymbolicLink(link)
        && Files.readSymbolicLink(link).equals(directory.getFileName())) {
      Files.delete(link);
    }
    removeAttachment(directory);
  }

  private static void removeAttachment(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return;
    }
    unmount(directory.resolve(MOUNT));
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        if (!file.endsWith(PID)) {
          Files.delete(file);
        }
      }
    }
    // Last, as without it nobody could tell that the rest of an older one is abandoned.
    Files.deleteIfExists(directory.resolve(PID));
    Files.delete(directory);
  }

  /**
   * Takes away the mount of a child that was killed, which nobody else unmounts: it answers every
   * look at it with an error, and stands in the way of removing its directory.
   */
  private static void unmount(Path mount) throws IOException {
    try {
      NativeCalls.load().umount2(mount.toString(), FuseMount.MNT_DETACH);
    } catch (NativeException e) {
      // The usual case: it is no mount, or not even there. If it is one, removing it will say so.
      LOG.log(System.Logger.Level.DEBUG, () -> mount + ": " + e.getMessage());
    }
  }
}
