/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * How a device is attached; the properties of {@link KernelTransport}.
 *
 * @param connections how many links the kernel gets
 * @param timeouts how long requests and dead links wait
 * @param blockBytes the logical block size
 * @param identifier what a takeover must know
 * @param queue settings of the device's queue
 * @param partitionScan whether the kernel looks for partitions
 * @param readOnly whether the device is read-only though what is behind it can be written
 * @param detachWait how long a detach waits for short-lived openers
 * @param useIoctl whether the older interface is used though netlink is there
 */
record KernelSettings(
    int connections,
    NetlinkNbd.Timeouts timeouts,
    int blockBytes,
    Optional<String> identifier,
    Queue queue,
    boolean partitionScan,
    boolean readOnly,
    Duration detachWait,
    boolean useIoctl,
    Duration busyPoll) {

  static final String CONNECTIONS = "connections";
  static final String TIMEOUT = "timeout";
  static final String DEAD_TIMEOUT = "dead-timeout";
  static final String BLOCK_SIZE = "block-size";
  static final String IDENTIFIER = "identifier";
  static final String MAX_SECTORS_KB = "max-sectors-kb";
  static final String READ_AHEAD_KB = "read-ahead-kb";
  static final String SCHEDULER = "scheduler";
  static final String PARTITION_SCAN = "partition-scan";
  static final String READ_ONLY = "read-only";
  static final String DETACH_WAIT = "detach-wait";
  static final String INTERFACE = "interface";
  static final String BUSY_POLL = "busy-poll";

  static final int MOST_CONNECTIONS = 64;

  /** More than the fetch deadline of 30 s. */
  private static final int TIMEOUT_READ_ONLY = 40;

  /** More than a flush of much to a slow disk; a write sent twice may overtake a newer one. */
  private static final int TIMEOUT_WRITABLE = 120;

  private static final Set<String> NAMES =
      Set.of(
          CONNECTIONS,
          TIMEOUT,
          DEAD_TIMEOUT,
          BLOCK_SIZE,
          IDENTIFIER,
          MAX_SECTORS_KB,
          READ_AHEAD_KB,
          SCHEDULER,
          PARTITION_SCAN,
          READ_ONLY,
          DETACH_WAIT,
          INTERFACE,
          BUSY_POLL);

  /**
   * Settings of the queue, for reads that are far away.
   *
   * @param maxSectorsKb the longest request: a few long ones are planned into better fetches
   * @param readAheadKb how far the page cache reads ahead of a sequential reader
   * @param scheduler the elevator; none, since it sorts for heads that nobody moves here
   */
  record Queue(int maxSectorsKb, int readAheadKb, String scheduler) {}

  /**
   * Reads properties.
   *
   * @param properties as given
   * @param writable whether what is attached can be written
   * @throws IllegalArgumentException if one is unknown, or out of bounds
   */
  static KernelSettings of(Map<String, String> properties, boolean writable) {
    Set<String> unknown = new TreeSet<>(properties.keySet());
    unknown.removeAll(NAMES);
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException(
          "unknown properties " + unknown + "; there are " + new TreeSet<>(NAMES));
    }
    Reader read = new Reader(properties);
    int blockBytes = read.number(BLOCK_SIZE, 512, 512, 4096);
    if (Integer.bitCount(blockBytes) != 1) {
      throw new IllegalArgumentException(BLOCK_SIZE + " must be a power of two: " + blockBytes);
    }
    return new KernelSettings(
        read.number(CONNECTIONS, 4, 1, MOST_CONNECTIONS),
        new NetlinkNbd.Timeouts(
            Duration.ofSeconds(
                read.number(
                    TIMEOUT, writable ? TIMEOUT_WRITABLE : TIMEOUT_READ_ONLY, 1, 24 * 3600)),
            Duration.ofSeconds(read.number(DEAD_TIMEOUT, 60, 0, 24 * 3600))),
        blockBytes,
        Optional.ofNullable(properties.get(IDENTIFIER)),
        new Queue(
            read.number(MAX_SECTORS_KB, 1024, 4, 32 * 1024),
            read.number(READ_AHEAD_KB, 1024, 0, 64 * 1024),
            properties.getOrDefault(SCHEDULER, "none")),
        read.flag(PARTITION_SCAN, true),
        read.flag(READ_ONLY, false),
        Duration.ofSeconds(read.number(DETACH_WAIT, 5, 0, 3600)),
        read.oneOf(INTERFACE, "netlink", Set.of("netlink", "ioctl")).equals("ioctl"),
        Duration.of(
            read.number(BUSY_POLL, (int) BusyPoll.DEFAULT.toNanos() / 1000, 0, 1000),
            ChronoUnit.MICROS));
  }

  private record Reader(Map<String, String> properties) {

    int number(String name, int standard, int least, int most) {
      String text = properties.get(name);
      if (text == null) {
        return standard;
      }
      int value;
      try {
        value = Integer.parseInt(text);
      } catch (NumberFormatException e) {
        throw new IllegalArgumentException(name + " must be a number: '" + text + "'", e);
      }
      if (value < least || value > most) {
        throw new IllegalArgumentException(
            name + " must be " + least + " to " + most + ": " + value);
      }
      return value;
    }

    boolean flag(String name, boolean standard) {
      return oneOf(name, Boolean.toString(standard), Set.of("true", "false")).equals("true");
    }

    String oneOf(String name, String standard, Set<String> values) {
      String text = properties.getOrDefault(name, standard);
      if (!values.contains(text)) {
        throw new IllegalArgumentException(
            name + " must be one of " + new TreeSet<>(values) + ": '" + text + "'");
      }
      return text;
    }
  }
}
