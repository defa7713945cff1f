/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.PatternSource;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.BitSet;
import java.util.Random;

/**
 * Fills pairs on a disk whose writes are logged; {@code .ci/guest-tests powercut} runs it.
 *
 * <p>Three pairs: {@code sums} with checksums, {@code plain} without, {@code bounded} without and
 * with evictions. After each round of reads and an answered flush the blocks that must now be
 * durable are written down elsewhere, and the log gets a mark.
 */
final class PowerCutWriter {

  static final long SIZE = (8 << 20) + 777;
  static final String[] PAIRS = {"sums", "plain", "bounded"};
  private static final int ROUNDS = 8;

  private PowerCutWriter() {}

  static CachePair pair(Path mount, String name) {
    return new CachePair(mount.resolve(name + ".cache"), mount.resolve(name + ".bitmap"));
  }

  private static CachedDevice open(Path mount, String name, boolean broken) throws Exception {
    CachedDevice.Builder builder =
        CachedDevice.builder(new PatternSource(SIZE))
            .pair(pair(mount, name))
            .checksums(name.equals("sums"))
            .commitInterval(Duration.ofMillis(200));
    if (name.equals("bounded")) {
      builder.maxCacheBytes(2 << 20);
    }
    if (broken) {
      builder.storage(
          new FaultStorage(new LocalStorage()).unforced(f -> f.toString().endsWith(".cache")));
    }
    return builder.open();
  }

  /**
   * Runs.
   *
   * @param arguments the mount point; where to note what must be durable; the name of the dm
   *     device; a seed; and {@code broken} to leave out the forces of the cache files
   */
  public static void main(String[] arguments) throws Exception {
    Path mount = Path.of(arguments[0]);
    Path notes = Path.of(arguments[1]);
    Random random = new Random(Long.parseLong(arguments[3]));
    boolean broken = arguments.length > 4 && arguments[4].equals("broken");
    CachedDevice[] devices = new CachedDevice[PAIRS.length];
    BitSet[] durable = new BitSet[PAIRS.length];
    for (int i = 0; i < PAIRS.length; i++) {
      durable[i] = new BitSet();
    }
    for (int round = 0; round < ROUNDS; round++) {
      for (int i = 0; i < PAIRS.length; i++) {
        if (devices[i] == null) {
          devices[i] = open(mount, PAIRS[i], broken);
        }
      }
      for (int read = 0; read < 12; read++) {
        for (int i = 0; i < PAIRS.length; i++) {
          int length = 1 + random.nextInt(150_000);
          long offset = random.nextInt((int) SIZE - length);
          devices[i].read(offset, ByteBuffer.allocate(length));
          durable[i].set((int) (offset / 4096), (int) ((offset + length - 1) / 4096) + 1);
        }
      }
      boolean closes = round % 3 == 2 || round == ROUNDS - 1;
      for (int i = 0; i < PAIRS.length; i++) {
        if (closes) {
          devices[i].close();
          devices[i] = null;
        } else {
          devices[i].flush();
        }
        if (!PAIRS[i].equals("bounded")) {
          Files.write(notes.resolve(round + "." + PAIRS[i]), durable[i].toByteArray());
        }
      }
      mark(arguments[2], "round-" + round);
    }
  }

  private static void mark(String device, String text) throws Exception {
    PowerCutReplay.run("dmsetup", "message", device, "0", "mark", text);
  }
}
