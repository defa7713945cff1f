/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Holds present blocks against their checksums; what is wrong is logged, and the caller's to drop.
 * Of many blocks only some are warnings.
 *
 * <p><b>Threads:</b> any.
 */
final class BlockVerifier {

  private static final System.Logger LOG = System.getLogger("io.uloop.core");

  /**
   * So many blocks of a kind are each said; of more the count alone, when it is ten times as many.
   */
  private static final int SAID_EACH = 3;

  /** How many blocks' checksums are read at once. */
  private static final int MOST_VERIFIED = 256;

  private final BlockStore store;
  private final Geometry geometry;
  private final Checksums checksums;
  private final Path name;

  /** Whether one that is missing was lost, or never made. */
  private final boolean everyBlockHasChecksum;

  private final AtomicLong missing = new AtomicLong();
  private final AtomicLong wrong = new AtomicLong();

  BlockVerifier(BlockStore store, Checksums checksums, boolean everyBlockHasChecksum) {
    this.store = store;
    this.geometry = store.geometry();
    this.checksums = checksums;
    this.name = store.data().file().path();
    this.everyBlockHasChecksum = everyBlockHasChecksum;
  }

  /**
   * Verifies the blocks of a range that are present but were not looked at since the open.
   *
   * @param right told each block that is right; makes it ready ({@link BlockStore#setReady}) unless
   *     it was made absent meanwhile
   * @return the first block whose bytes are wrong or cannot be read, or -1 if there is none
   */
  long verify(long fromBlock, long toBlock, LongConsumer right) {
    ByteBuffer bytes = null;
    for (long block = fromBlock; (block = store.nextUnverified(block, toBlock)) < toBlock; ) {
      long end = Math.min(toBlock, block + MOST_VERIFIED);
      int[] stored = storedChecksums(block, end);
      if (bytes == null) {
        bytes = ByteBuffer.allocate(geometry.blockSizeBytes());
      }
      for (long first = block; (block = store.nextUnverified(block, end)) < end; block++) {
        if (stored == null || !verify(block, stored[(int) (block - first)], bytes)) {
          return block;
        }
        right.accept(block);
      }
    }
    return -1;
  }

  /** Verifies one block that is present, looked at before or not. */
  boolean verifyNow(long block) {
    int[] stored = storedChecksums(block, block + 1);
    ByteBuffer bytes = ByteBuffer.allocate(geometry.blockSizeBytes());
    return stored != null && verify(block, stored[0], bytes);
  }

  private int @Nullable [] storedChecksums(long from, long to) {
    try {
      return checksums.read(from, to);
    } catch (ClosedChannelException e) {
      return null; // by the device's end
    } catch (IOException e) {
      LOG.log(Level.WARNING, "{0}: cannot be verified: {1}", name, e.getMessage());
      return null;
    }
  }

  private boolean verify(long block, int stored, ByteBuffer bytes) {
    long start = geometry.startOf(block);
    int length = (int) (geometry.endBefore(block + 1) - start);
    try {
      store.copy(start, bytes, 0, length);
      bytes.clear().limit(length);
      switch (Checksums.verify(stored, bytes)) {
        case RIGHT -> {
          if (new Zeroes().only(bytes, 0, length)) {
            store.setKnownZero(block);
          }
          return true;
        }
        case UNKNOWN -> {
          if (everyBlockHasChecksum) {
            say(missing, block, "has no checksum");
            return false;
          }
          Checksums.Writer writer = checksums.new Writer(1);
          writer.begin(block);
          writer.add(bytes, 0, length, false);
          writer.write();
          return true;
        }
        case WRONG -> say(wrong, block, "does not fit its checksum");
      }
    } catch (ClosedChannelException e) {
      return false; // by the device's end
    } catch (IOException e) {
      LOG.log(
          Level.WARNING,
          "{0}: block {1} cannot be verified: {2}",
          name,
          Long.toString(block),
          e.getMessage());
    }
    return false;
  }

  /** Says what is wrong with a block: a file that was lost would fill the log with its blocks. */
  private void say(AtomicLong count, long block, String what) {
    long now = count.incrementAndGet();
    LOG.log(
        now <= SAID_EACH || isPowerOfTen(now) ? Level.WARNING : Level.DEBUG,
        "{0}: block {1} at {2} {3}; it will be fetched again{4}",
        name,
        Long.toString(block),
        Long.toString(geometry.startOf(block)),
        what,
        now < SAID_EACH ? "" : " (" + now + " such blocks so far; not each is said)");
  }

  private static boolean isPowerOfTen(long number) {
    long rest = number;
    while (rest % 10 == 0) {
      rest /= 10;
    }
    return rest == 1;
  }
}
