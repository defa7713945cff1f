/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * A block device of this machine, as its node in {@code /dev} and its directory in {@code /sys}.
 *
 * @param calls the C library
 * @param name the kernel's name, as in {@code nbd0}
 */
record KernelDevice(NativeCalls calls, String name) {

  static final int O_RDONLY = 0;
  static final int O_RDWR = 2;

  /** For a block device: fails with EBUSY if it is mounted or otherwise claimed (open(2)). */
  static final int O_EXCL = 0x80;

  static final int O_CLOEXEC = 0x80000;

  /** From {@code linux/fs.h}: {@code _IO(0x12, n)}. */
  static final long BLKROSET = 0x125d;

  static final long BLKRRPART = 0x125f;

  private static final System.Logger LOG = System.getLogger(KernelDevice.class.getName());

  String path() {
    return "/dev/" + name;
  }

  Path sysfs() {
    return Path.of("/sys/block", name);
  }

  /** Gives the number at the end of the name. */
  int index() {
    return Integer.parseInt(name.replaceFirst("^\\D+", ""));
  }

  boolean exists() {
    return Files.exists(sysfs());
  }

  boolean hasNode() {
    return Files.exists(Path.of(path()));
  }

  /** Reads an attribute without its line end; empty if it is not there. */
  Optional<String> attribute(String attribute) throws IOException {
    try {
      return Optional.of(Files.readString(sysfs().resolve(attribute)).strip());
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (IOException e) {
      // The file goes with the configuration, also between open and read (ENODEV).
      if (!Files.exists(sysfs().resolve(attribute))) {
        return Optional.empty();
      }
      throw e;
    }
  }

  /** Gives the size in bytes, 0 if nothing is configured. */
  long sizeBytes() throws IOException {
    return Long.parseLong(attribute("size").orElse("0")) * 512;
  }

  boolean readOnly() throws IOException {
    return attribute("ro").orElse("0").equals("1");
  }

  /** Counts the hardware queues; nbd has one for each link. */
  OptionalInt hardwareQueues() throws IOException {
    int count = 0;
    try (DirectoryStream<Path> queues = Files.newDirectoryStream(sysfs().resolve("mq"))) {
      for (Path queue : queues) {
        count += Files.isDirectory(queue) ? 1 : 0;
      }
    } catch (NoSuchFileException e) {
      return OptionalInt.empty();
    }
    return OptionalInt.of(count);
  }

  /** Opens the device node. */
  NativeFd open(int flags) throws NativeException {
    return calls.open(path(), flags | O_CLOEXEC);
  }

  /**
   * Sets up the queue. A setting that this kernel does not take is logged and left: the device
   * works all the same.
   */
  void tune(KernelSettings.Queue queue) throws IOException {
    write("queue/scheduler", queue.scheduler());
    long hardware = Long.parseLong(attribute("queue/max_hw_sectors_kb").orElse("0"));
    write("queue/max_sectors_kb", Long.toString(Math.min(hardware, queue.maxSectorsKb())));
    write("queue/read_ahead_kb", Integer.toString(queue.readAheadKb()));
  }

  private void write(String attribute, String value) {
    try {
      Files.write(sysfs().resolve(attribute), value.getBytes(StandardCharsets.US_ASCII));
    } catch (IOException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          () -> path() + ": " + attribute + " cannot be set to " + value + ": " + e.getMessage());
    }
  }

  @Override
  public String toString() {
    return path();
  }
}
