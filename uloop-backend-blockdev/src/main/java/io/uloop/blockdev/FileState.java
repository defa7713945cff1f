/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * What stat(2) says of a file, links followed.
 *
 * @param mode type and permissions
 * @param device the device that the file is on
 * @param inode its number there
 * @param specialDevice the device that the file is, if it is one
 * @param size in bytes; 0 for a block device
 * @param modifiedNanos modification time in nanoseconds since the epoch
 */
record FileState(
    int mode, long device, long inode, long specialDevice, long size, long modifiedNanos) {

  // inode(7), "The file type and mode".
  private static final int S_IFMT = 0170000;
  private static final int S_IFSOCK = 0140000;
  private static final int S_IFREG = 0100000;
  private static final int S_IFBLK = 0060000;
  private static final int S_IFDIR = 0040000;
  private static final int S_IFCHR = 0020000;
  private static final int S_IFIFO = 0010000;

  static FileState of(Path path) throws IOException {
    Map<String, Object> stat =
        Files.readAttributes(path, "unix:mode,dev,ino,rdev,size,lastModifiedTime");
    return new FileState(
        (int) number(stat, "mode"),
        number(stat, "dev"),
        number(stat, "ino"),
        number(stat, "rdev"),
        number(stat, "size"),
        number(stat, "lastModifiedTime"));
  }

  private static long number(Map<String, Object> stat, String name) {
    Object value = stat.get(name);
    if (value instanceof FileTime time) {
      return time.to(TimeUnit.NANOSECONDS);
    } else if (value instanceof Number number) {
      return number.longValue();
    }
    throw new UnsupportedOperationException("no attribute unix:" + name);
  }

  boolean regular() {
    return (mode & S_IFMT) == S_IFREG;
  }

  boolean blockDevice() {
    return (mode & S_IFMT) == S_IFBLK;
  }

  /** Tells whether both are the same file, whatever it holds. */
  boolean sameFile(FileState other) {
    return device == other.device && inode == other.inode && specialDevice == other.specialDevice;
  }

  /** Names the type of file for a message. */
  String kind() {
    return switch (mode & S_IFMT) {
      case S_IFREG -> "a regular file";
      case S_IFBLK -> "a block device";
      case S_IFDIR -> "a directory";
      case S_IFCHR -> "a character device";
      case S_IFIFO -> "a named pipe";
      case S_IFSOCK -> "a socket";
      default -> "of an unknown type";
    };
  }
}
