/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/**
 * What every {@link BlockSource} that can be written owes its callers, on top of reading.
 *
 * <p>{@link Origin#openWritable} opens it for writing.
 */
public abstract class WritableBlockSourceContract extends BlockSourceContract {

  private static final int SIZE = 600_000;

  @Test
  void writable_openedForWriting_isTrue() throws Exception {
    assertThat(closedLater(origin(content(4096)).openWritable()).writable()).isTrue();
  }

  @Test
  void write_randomRanges_readsBackAndChangesNothingElse() throws Exception {
    byte[] model = content(SIZE);
    BlockSource source = closedLater(origin(model.clone()).openWritable());
    Random random = random();

    for (int i = 0; i < 60; i++) {
      int offset = random.nextInt(model.length);
      byte[] bytes = new byte[random.nextInt(Math.min(50_000, model.length - offset)) + 1];
      random.nextBytes(bytes);
      ByteBuffer buffer = i % 2 == 0 ? ByteBuffer.wrap(bytes) : direct(bytes);

      source.write(offset, buffer);

      assertThat(buffer.hasRemaining()).as("a write takes its whole buffer").isFalse();
      System.arraycopy(bytes, 0, model, offset, bytes.length);
    }

    assertThat(read(source, 0, model.length)).isEqualTo(model);
  }

  @Test
  void write_flushedAndReopened_isThere() throws Exception {
    byte[] model = content(SIZE);
    Origin origin = origin(model.clone());
    byte[] bytes = {1, 2, 3, 4, 5, 6, 7};
    try (BlockSource source = origin.openWritable()) {
      source.write(4093, ByteBuffer.wrap(bytes));
      source.flush();
    }

    System.arraycopy(bytes, 0, model, 4093, bytes.length);
    assertThat(read(closedLater(origin.open()), 0, model.length)).isEqualTo(model);
  }

  @Test
  void zero_unalignedRange_zeroesExactlyThat() throws Exception {
    byte[] model = content(SIZE);
    Origin origin = origin(model.clone());
    BlockSource source = closedLater(origin.openWritable());

    source.zero(301_111, 123_457);

    Arrays.fill(model, 301_111, 301_111 + 123_457, (byte) 0);
    assertThat(read(source, 0, model.length)).isEqualTo(model);
  }

  @Test
  void trim_unalignedRange_leavesTheRestAlone() throws Exception {
    byte[] model = content(SIZE);
    BlockSource source = closedLater(origin(model.clone()).openWritable());

    source.trim(301_111, 123_457);

    assertThat(read(source, 0, 301_111)).isEqualTo(Arrays.copyOf(model, 301_111));
    int rest = 301_111 + 123_457;
    assertThat(read(source, rest, model.length - rest))
        .isEqualTo(Arrays.copyOfRange(model, rest, model.length));
  }

  @Test
  void write_byManyThreads_losesNothing() throws Exception {
    byte[] model = content(SIZE);
    BlockSource source = closedLater(origin(model.clone()).openWritable());
    int share = model.length / 4;

    inParallel(
        4,
        number -> {
          for (int at = number * share; at < (number + 1) * share; at += 10_000) {
            int length = Math.min(10_000, (number + 1) * share - at);
            byte[] bytes = new byte[length];
            Arrays.fill(bytes, (byte) (number + 1));
            source.write(at, ByteBuffer.wrap(bytes));
          }
        });

    for (int number = 0; number < 4; number++) {
      Arrays.fill(model, number * share, (number + 1) * share, (byte) (number + 1));
    }
    assertThat(read(source, 0, model.length)).isEqualTo(model);
  }

  private static ByteBuffer direct(byte[] bytes) {
    return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
  }
}
