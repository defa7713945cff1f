/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * One CRC32C (Castagnoli, RFC 3720 appendix B.4) per block, in a file of its own.
 *
 * <pre>
 *   byte 4n .. 4n+3   little-endian checksum of block n; 0 = none is known
 * </pre>
 *
 * A checksum that comes out as 0 is kept as 0xFFFFFFFF. The last block's covers the image's bytes
 * only, not the padding.
 *
 * <p><b>Threads:</b> any; an instance of {@link Writer} belongs to one thread at a time.
 */
final class Checksums {

  private static final int NONE = 0;

  private final Storage.File file;

  Checksums(Storage.File file) {
    this.file = file;
  }

  /** Computes and collects the checksums of a run of blocks, then writes them at once. */
  final class Writer {
    private final CRC32C crc = new CRC32C();
    private final ByteBuffer run;
    private long firstBlock;

    /** The checksum of so many zeroes, once it was needed. */
    private int zeroSum;

    private int zeroLength;

    /** For runs of at most this many blocks. */
    Writer(int blocks) {
      run = ByteBuffer.allocate(blocks * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    }

    void begin(long block) {
      firstBlock = block;
      run.clear();
    }

    /**
     * Adds the next block.
     *
     * @param zero whether it is known to hold nothing but zeroes, whose checksum is the same always
     */
    void add(ByteBuffer bytes, int index, int length, boolean zero) {
      if (zero && length == zeroLength) {
        run.putInt(zeroSum);
        return;
      }
      crc.reset();
      if (bytes.hasArray()) {
        crc.update(bytes.array(), bytes.arrayOffset() + index, length);
      } else {
        crc.update(bytes.slice(index, length));
      }
      int sum = encode(crc);
      run.putInt(sum);
      if (zero) {
        zeroLength = length;
        zeroSum = sum;
      }
    }

    void write() throws IOException {
      run.flip();
      long at = firstBlock * Integer.BYTES;
      int length = run.remaining();
      try {
        file.write(run, at);
      } catch (IOException e) {
        throw PairFailures.of(file.path(), "write of " + length + " bytes at " + at, e);
      }
    }
  }

  private static int encode(CRC32C crc) {
    int value = (int) crc.getValue();
    return value == NONE ? -1 : value;
  }

  /** What the checksum file says of a block. */
  enum Verdict {
    RIGHT,
    WRONG,
    UNKNOWN
  }

  /** Reads the checksums of blocks {@code [from, to)}; give them to {@link #verify}. */
  int[] read(long from, long to) throws IOException {
    int[] stored = new int[(int) (to - from)];
    ByteBuffer bytes =
        ByteBuffer.allocate(stored.length * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    long at = from * Integer.BYTES;
    try {
      file.read(bytes, at);
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "read of " + bytes.capacity() + " bytes at " + at, e);
    }
    bytes.flip().asIntBuffer().get(stored);
    return stored;
  }

  /** Holds a block, the bytes between position and limit, against its checksum. */
  static Verdict verify(int stored, ByteBuffer bytes) {
    if (stored == NONE) {
      return Verdict.UNKNOWN;
    }
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return encode(crc) == stored ? Verdict.RIGHT : Verdict.WRONG;
  }

  void force() throws IOException {
    try {
      file.force();
    } catch (IOException e) {
      throw PairFailures.of(file.path(), "force", e);
    }
  }
}
