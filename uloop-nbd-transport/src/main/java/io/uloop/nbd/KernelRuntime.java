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
import java.util.Optional;
import java.util.Set;

/**
 * The private directory of one attachment, and the name it can be found by.
 *
 * <pre>
 *   /run/uloop/                   mode 0700
 *     attach-8123412345/          mode 0700, one for each attachment
 *       pid                       the process
 *       sock                      where the server listens, for the kernel's links only
 *       fuse/disk                 the mount of a loop device
 *     nbd0 -> attach-8123412345   which attachment serves the device
 * </pre>
 *
 * Somebody serves a device as long as its socket takes connections. What a killed process leaves is
 * removed by the next one that attaches the same device.
 */
final class KernelRuntime implements Closeable {

  private static final Path RUN = Path.of("/run");
  private static final Set<PosixFilePermission> PRIVATE =
      PosixFilePermissions.fromString("rwx------");
  private static final String PID = "pid";
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
    Path directory =
        Files.createTempDirectory(base, "attach-", PosixFilePermissions.asFileAttribute(PRIVATE));
    Files.writeString(directory.resolve(PID), Long.toString(ProcessHandle.current().pid()));
    return new KernelRuntime(base, directory);
  }

  private static Path base() {
    if (Files.isWritable(RUN)) {
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
    try {
      return Optional.of(Files.readString(base().resolve(deviceName).resolve(PID)));
    } catch (IOException e) {
      return Optional.empty(); // not ours, or not ours to see
    }
  }

  /** Tells whether a file is, or was, the mount of an attachment. */
  static boolean isMount(Path file) {
    return file.startsWith(base()) && file.endsWith("fuse/disk");
  }

  String socketPath() {
    return directory.resolve("sock").toString();
  }

  /** Gives an empty directory to mount on. */
  Path mountPoint() throws IOException {
    return Files.createDirectories(directory.resolve("fuse"));
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
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
      for (Path file : files) {
        Files.delete(file);
      }
    }
    Files.delete(directory);
  }
}
