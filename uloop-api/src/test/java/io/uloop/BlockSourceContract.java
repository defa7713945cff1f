/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What every {@link BlockSource} owes its callers; a source's tests extend this and give an origin.
 *
 * <p>{@link #originOf} puts bytes where the source takes them from. The suite opens the source
 * read-only, as often as it likes, closes what it opened, and then the origin. Sources that write
 * extend {@link WritableBlockSourceContract} instead.
 *
 * <p>Random choices come from {@link TestSeed}: printed once a run, replayed with {@code
 * -Duloop.seed=}.
 */
@Timeout(60)
public abstract class BlockSourceContract {

  private static final int LARGE = (1 << 20) + 777;

  private final List<Closeable> opened = new ArrayList<>();
  private Random random = new Random(0);

  /** The place that a source takes its bytes from, for one test. */
  protected interface Origin extends Closeable {
    /** Opens the source, read-only. */
    BlockSource open() throws IOException;

    /** Opens the source for writing; only {@link WritableBlockSourceContract} asks for it. */
    default BlockSource openWritable() throws IOException {
      throw new UnsupportedOperationException("this origin cannot be written");
    }

    /** Takes down what was set up. */
    @Override
    default void close() throws IOException {}
  }

  /**
   * Puts bytes where the source takes them from.
   *
   * @param content the bytes; its length is a multiple of {@link #sizeUnitBytes}
   */
  protected abstract Origin originOf(byte[] content) throws Exception;

  /** What sizes are multiples of: 1, but 512 for a source over real block devices. */
  protected int sizeUnitBytes() {
    return 1;
  }

  @BeforeEach
  final void seed() {
    random = TestSeed.random(getClass().getSimpleName());
  }

  @AfterEach
  final void closeAll() throws IOException {
    for (int i = opened.size() - 1; i >= 0; i--) {
      opened.get(i).close();
    }
  }

  // ---- for the tests here and in subclasses

  final Random random() {
    return random;
  }

  final Origin origin(byte[] content) throws Exception {
    Origin origin = originOf(content);
    opened.add(origin);
    return origin;
  }

  final BlockSource closedLater(BlockSource source) {
    opened.add(source);
    return source;
  }

  private BlockSource open(byte[] content) throws Exception {
    return closedLater(origin(content).open());
  }

  /** Random bytes with runs of zeroes in them, so that a source has holes to know. */
  final byte[] content(long size) {
    int unit = sizeUnitBytes();
    byte[] content = new byte[(int) ((size + unit - 1) / unit * unit)];
    random.nextBytes(content);
    if (content.length > 300_000) {
      Arrays.fill(content, 100_000, 300_000, (byte) 0);
    }
    return content;
  }

  static LongStream sizes() {
    return LongStream.of(0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, LARGE);
  }

  static byte[] read(BlockSource source, long offset, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    source.read(offset, buffer);
    assertThat(buffer.hasRemaining()).as("a read fills its buffer").isFalse();
    return buffer.array();
  }

  // ---- size and content

  @ParameterizedTest
  @MethodSource("sizes")
  void size_anySize_isThatOfTheContent(long size) throws Exception {
    byte[] content = content(size);

    assertThat(open(content).size()).isEqualTo(content.length);
  }

  @ParameterizedTest
  @MethodSource("sizes")
  void read_whole_givesTheContent(long size) throws Exception {
    byte[] content = content(size);

    assertThat(read(open(content), 0, content.length)).isEqualTo(content);
  }

  @Test
  void read_lastByte_givesIt() throws Exception {
    byte[] content = content(4097);

    byte[] last = read(open(content), content.length - 1, 1);

    assertThat(last).containsExactly(content[content.length - 1]);
  }

  @Test
  void read_randomRanges_givesTheContent() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);

    for (int i = 0; i < 60; i++) {
      int offset = random.nextInt(content.length);
      int length = random.nextInt(Math.min(100_000, content.length - offset) + 1);
      assertThat(read(source, offset, length))
          .as("offset=%d length=%d", offset, length)
          .isEqualTo(Arrays.copyOfRange(content, offset, offset + length));
    }
  }

  @Test
  void read_nothing_anywhere_leavesTheBuffer() throws Exception {
    byte[] content = content(4097);
    BlockSource source = open(content);

    assertThat(read(source, 0, 0)).isEmpty();
    assertThat(read(source, content.length, 0)).isEmpty();
  }

  @Test
  void read_partOfABuffer_touchesNothingElse() throws Exception {
    byte[] content = content(10_000);
    BlockSource source = open(content);

    for (ByteBuffer whole : List.of(ByteBuffer.allocate(3000), ByteBuffer.allocateDirect(3000))) {
      ByteBuffer part = whole.duplicate().position(1000).limit(1777);

      source.read(4321, part);

      assertThat(part.position()).isEqualTo(1777);
      assertThat(part.limit()).isEqualTo(1777);
      byte[] expected = new byte[3000];
      System.arraycopy(content, 4321, expected, 1000, 777);
      byte[] actual = new byte[3000];
      whole.get(actual);
      assertThat(actual).isEqualTo(expected);
    }
  }

  // ---- streams

  @ParameterizedTest
  @MethodSource("sizes")
  void stream_whole_givesTheContentInOrder(long size) throws Exception {
    byte[] content = content(Math.max(size, 1));
    Collector sink = new Collector(content.length);

    open(content).read(0, content.length, sink);

    assertThat(sink.bytes()).isEqualTo(content);
  }

  @Test
  void stream_middle_givesExactlyTheRange() throws Exception {
    byte[] content = content(LARGE);
    Collector sink = new Collector(500_001);

    open(content).read(12_345, 500_001, sink);

    assertThat(sink.bytes()).isEqualTo(Arrays.copyOfRange(content, 12_345, 512_346));
  }

  @Test
  void stream_sinkThrows_throwsTheSameAndStaysUsable() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);
    IOException enough = new IOException("enough");

    assertThatThrownBy(
            () ->
                source.read(
                    0,
                    content.length,
                    piece -> {
                      throw enough;
                    }))
        .isSameAs(enough);

    assertThat(read(source, 0, content.length)).isEqualTo(content);
  }

  @Test
  void stream_cancelled_endsAndStaysUsable() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);
    Cancelling sink = new Cancelling();

    try {
      source.read(0, content.length, sink);
      // Nothing to cancel with, or all had arrived: then all must have been handed over.
      assertThat(sink.taken).isEqualTo(content.length);
    } catch (IOException e) {
      assertThat(sink.abort).as("a read that nobody cancelled failed: %s", e).isNotNull();
    }

    assertThat(read(source, 0, content.length)).isEqualTo(content);
  }

  // ---- what the source says of itself

  @Test
  void identity_askedTwiceAndReopened_isTheSame() throws Exception {
    byte[] content = content(5000);
    Origin origin = origin(content);
    BlockSource first = closedLater(origin.open());
    BlockSource second = closedLater(origin.open());

    SourceIdentity identity = first.identity();

    assertThat(identity.uri()).isNotBlank().doesNotContain("\n", "\r");
    assertThat(identity.size()).isEqualTo(content.length);
    assertThat(first.identity()).isEqualTo(identity);
    assertThat(second.identity()).isEqualTo(identity);
  }

  @Test
  void hints_always_makeSense() throws Exception {
    BlockSource source = open(content(5000));

    assertThat(source.parallelism()).isPositive().isEqualTo(source.parallelism());
    assertThat(source.preferredFetchBytes()).isGreaterThanOrEqualTo(512);
    assertThat(Integer.bitCount(source.preferredFetchBytes())).isEqualTo(1);
  }

  @Test
  void extents_anyRange_coverItInOrderAndTellTheTruth() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);

    assertTrueExtents(source, content, 0, content.length);
    for (int i = 0; i < 20; i++) {
      int offset = random.nextInt(content.length);
      assertTrueExtents(source, content, offset, 1 + random.nextInt(content.length - offset));
    }
  }

  private static void assertTrueExtents(
      BlockSource source, byte[] content, long offset, long length) throws IOException {
    long end = offset + length;
    for (long at = offset; at < end; ) {
      List<Extent> extents = source.extents(at, end - at);
      assertThat(extents).as("extents from %d", at).isNotEmpty();
      for (Extent extent : extents) {
        assertThat(extent.range().start()).isEqualTo(at);
        assertThat(extent.range().isEmpty()).isFalse();
        assertThat(extent.range().end()).isLessThanOrEqualTo(end);
        assertThat(extent.present()).as("a source has all of its bytes").isTrue();
        for (long i = at; extent.zero() && i < extent.range().end(); i++) {
          assertThat(content[(int) i]).as("byte %d of a hole", i).isZero();
        }
        at = extent.range().end();
      }
    }
  }

  @Test
  void write_sourceOpenedReadOnly_isRefusedAndChangesNothing() throws Exception {
    byte[] content = content(8192);
    BlockSource source = open(content);

    assertThat(source.writable()).isFalse();
    assertThatThrownBy(() -> source.write(0, ByteBuffer.allocate(512)))
        .isInstanceOf(ReadOnlyException.class);
    assertThatThrownBy(() -> source.zero(0, 512)).isInstanceOf(ReadOnlyException.class);
    assertThatThrownBy(() -> source.trim(0, 512)).isInstanceOf(ReadOnlyException.class);
    assertThat(read(source, 0, content.length)).isEqualTo(content);
  }

  // ---- threads and ends

  @Test
  void read_byManyThreads_givesEachItsBytes() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);
    int threads = Math.min(source.parallelism(), 8);
    long seed = random.nextLong();

    inParallel(
        threads,
        number -> {
          Random own = new Random(seed + number);
          for (int i = 0; i < 40; i++) {
            int offset = own.nextInt(content.length - 8192);
            assertThat(read(source, offset, 8192))
                .as("thread %d offset %d", number, offset)
                .isEqualTo(Arrays.copyOfRange(content, offset, offset + 8192));
          }
        });
  }

  @Test
  void read_afterAnotherReaderWasInterrupted_works() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);

    inParallel(
        1,
        number -> {
          Thread.currentThread().interrupt();
          try {
            source.read(0, ByteBuffer.allocateDirect(content.length));
          } catch (IOException e) {
            assertThat(e)
                .as("an interrupt is no closed source")
                .isNotExactlyInstanceOf(ClosedChannelException.class);
          }
        });

    assertThat(read(source, 0, content.length)).isEqualTo(content);
  }

  @Test
  void close_twice_isFine() throws Exception {
    BlockSource source = open(content(5000));

    source.close();
    source.close();
  }

  @Test
  void read_afterClose_throwsClosed() throws Exception {
    BlockSource source = open(content(5000));

    source.close();

    assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(10)))
        .isInstanceOf(ClosedChannelException.class);
    assertThatThrownBy(() -> source.read(0, 10, new Collector(10)))
        .isInstanceOf(ClosedChannelException.class);
  }

  @Test
  void close_whileReadsRun_endsThem() throws Exception {
    byte[] content = content(LARGE);
    BlockSource source = open(content);
    int threads = Math.min(source.parallelism(), 4);
    CountDownLatch running = new CountDownLatch(threads);
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<?>> ends = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        ends.add(pool.submit(() -> readUntilFailure(source, content, running)));
      }
      assertThat(running.await(20, SECONDS)).isTrue();

      source.close();

      for (Future<?> end : ends) {
        end.get(20, SECONDS);
      }
    } finally {
      pool.shutdownNow();
    }
  }

  private static void readUntilFailure(BlockSource source, byte[] content, CountDownLatch running) {
    try {
      while (true) {
        byte[] bytes = read(source, 0, content.length);
        assertThat(Arrays.equals(bytes, content)).isTrue();
        running.countDown();
      }
    } catch (IOException expected) {
      running.countDown();
    }
  }

  /** What one thread of several does. */
  interface Work {
    void run(int number) throws Exception;
  }

  static void inParallel(int threads, Work work) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<?>> ends = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        int number = i;
        ends.add(
            pool.submit(
                () -> {
                  work.run(number);
                  return null;
                }));
      }
      for (Future<?> end : ends) {
        end.get(50, SECONDS);
      }
    } finally {
      pool.shutdownNow();
    }
  }

  /** Keeps what it is given, and minds that no piece is empty. */
  private static final class Collector implements ReadSink {
    private final ByteBuffer taken;

    Collector(int length) {
      taken = ByteBuffer.allocate(length);
    }

    @Override
    public void accept(ByteBuffer piece) {
      assertThat(piece.hasRemaining()).as("a piece has bytes").isTrue();
      taken.put(piece);
    }

    byte[] bytes() {
      return Arrays.copyOf(taken.array(), taken.position());
    }
  }

  /** Cancels the read at its first piece, if the source named a way. */
  private static final class Cancelling implements ReadSink {
    private Runnable abort;
    private boolean aborted;
    private long taken;

    @Override
    public void accept(ByteBuffer piece) {
      taken += piece.remaining();
      piece.position(piece.limit());
      if (abort != null && !aborted) {
        aborted = true;
        abort.run();
      }
    }

    @Override
    public void onCancel(Runnable abort) {
      this.abort = abort;
    }
  }
}
