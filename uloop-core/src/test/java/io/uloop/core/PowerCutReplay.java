/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Makes the disks that a power cut would have left of what {@link PowerCutWriter} did, and looks.
 *
 * <p>After each flush, each write with FUA and each mark in the log the power is cut twice: once
 * with nothing written since, once with any set of the sectors written until the next flush. The
 * disk is mounted (ext4 replays its journal), every present block of every pair compared with the
 * source, what had to be durable looked for, the disk unmounted and checked by e2fsck.
 */
final class PowerCutReplay {

  private static final Logger LOG = Logger.getLogger("io.uloop");

  private final Path disk;
  private final Path state;
  private final Path mount;
  private final Path notes;
  private final Random random;
  private int states;
  private long compared;
  private int round = -1;

  private PowerCutReplay(Path work, Path disk, long seed) {
    this.disk = disk;
    this.state = work.resolve("state");
    this.mount = work.resolve("state.mnt");
    this.notes = work.resolve("notes");
    this.random = new Random(seed);
  }

  /** Runs a program to its end; fails with its output. */
  static void run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    if (process.waitFor() != 0) {
      throw new IOException(String.join(" ", command) + ": " + output);
    }
  }

  /**
   * Runs.
   *
   * @param arguments a work directory with {@code notes/}; the log; the disk as it was before the
   *     first write, which is overwritten; a seed; how many cuts at most; {@code right} if all must
   *     be right, {@code wrong} if some must not
   */
  public static void main(String[] arguments) throws Exception {
    Path work = Path.of(arguments[0]);
    long seed = Long.parseLong(arguments[3]);
    PowerCutReplay replay = new PowerCutReplay(work, Path.of(arguments[2]), seed);
    Files.createDirectories(replay.mount);
    // Of what is adopted or refused there is news enough below.
    LOG.setLevel(Level.OFF);
    boolean wrong = false;
    try (WriteLog writes = new WriteLog(Path.of(arguments[1]))) {
      replay.cuts(writes, Integer.parseInt(arguments[4]));
    } catch (AssertionError e) {
      wrong = true;
      System.out.println(e.getMessage());
    }
    System.out.printf(
        "%d states after power cuts, %d present blocks compared, seed %d%n",
        replay.states, replay.compared, seed);
    if (wrong != arguments[5].equals("wrong") || (!wrong && replay.compared == 0)) {
      System.out.println(wrong ? "a bit lied" : "nothing wrong was found");
      System.exit(1);
    }
  }

  private void cuts(WriteLog log, int most) throws Exception {
    List<WriteLog.Entry> entries = log.entries();
    long barriers = entries.stream().filter(WriteLog.Entry::isBarrier).count();
    System.out.printf("%d entries in the log, %d flushes and marks%n", entries.size(), barriers);
    try (FileChannel target = FileChannel.open(disk, StandardOpenOption.WRITE)) {
      for (int i = 0; i < entries.size(); i++) {
        WriteLog.Entry entry = entries.get(i);
        log.replay(entry, target);
        if (entry.mark().startsWith("round-")) {
          round = Integer.parseInt(entry.mark().substring("round-".length()));
        }
        if (entry.isBarrier() && (entry.isMark() || random.nextInt((int) barriers) < most)) {
          look(log, List.of(), i);
          List<WriteLog.Entry> pending = new ArrayList<>();
          for (int j = i + 1; j < entries.size() && !entries.get(j).isBarrier(); j++) {
            pending.add(entries.get(j));
          }
          if (!pending.isEmpty()) {
            look(log, pending, i);
          }
        }
      }
    }
  }

  /** Cuts the power after an entry, with any of the sectors of later writes on the disk too. */
  private void look(WriteLog log, List<WriteLog.Entry> pending, int after) throws Exception {
    Files.copy(disk, state, StandardCopyOption.REPLACE_EXISTING);
    double survives = random.nextDouble();
    try (FileChannel target = FileChannel.open(state, StandardOpenOption.WRITE)) {
      for (WriteLog.Entry entry : pending) {
        for (long at = 0; at < entry.length(); at += log.sectorBytes()) {
          if (random.nextDouble() < survives) {
            log.replay(entry, at, at + log.sectorBytes(), target);
          }
        }
      }
    }
    run("mount", "-o", "loop", state.toString(), mount.toString());
    try {
      for (String name : PowerCutWriter.PAIRS) {
        BitSet found =
            PairCheck.rightBlocks(
                PowerCutWriter.pair(mount, name), PowerCutWriter.SIZE, name.equals("sums"));
        compared += found.cardinality();
        assertDurable(name, found, after);
      }
    } catch (io.uloop.UloopException e) {
      throw new IllegalStateException("refused after entry " + after + ": " + e.getMessage(), e);
    } finally {
      run("umount", mount.toString());
    }
    run("e2fsck", "-fn", state.toString());
    states++;
  }

  private void assertDurable(String name, BitSet found, int after) throws IOException {
    Path note = notes.resolve(round + "." + name);
    if (Files.exists(note)) {
      BitSet lost = BitSet.valueOf(Files.readAllBytes(note));
      lost.andNot(found);
      if (!lost.isEmpty()) {
        throw new AssertionError(
            name + ": blocks lost after an answered flush, at entry " + after + ": " + lost);
      }
    }
  }
}
