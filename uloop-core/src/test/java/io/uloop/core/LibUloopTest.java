/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockDevice;
import io.uloop.DeviceTransport;
import io.uloop.PatternSource;
import io.uloop.SourceProtocolException;
import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The facade, offered over a transport of this test's: {@code test:name}. */
@Timeout(30)
class LibUloopTest {

  private static final long SIZE = 1_000_000;

  @TempDir Path directory;
  private LibUloop.Init init;

  @BeforeEach
  void nameTheDevice(TestInfo test) {
    init =
        new LibUloop.Init(
            "test:" + test.getDisplayName(),
            directory.resolve("cache"),
            directory.resolve("bitmap"),
            SIZE);
  }

  private static void store(long start, int size, LibUloop.CacheFile file) throws IOException {
    int half = size / 2;
    file.write(ByteBuffer.wrap(PatternSource.bytes(start, half)), start);
    file.write(ByteBuffer.wrap(PatternSource.bytes(start + half, size - half)), start + half);
  }

  /** A loop that runs on a thread of its own, and the device that it offers. */
  private record Running(LibUloop uloop, CompletableFuture<Void> end, BlockDevice device) {

    static Running start(LibUloop.Init init, LibUloop.Store store) throws Exception {
      LibUloop uloop = LibUloop.init(init);
      CompletableFuture<BlockDevice> device = TestTransport.expect(init.device());
      CompletableFuture<Void> end = new CompletableFuture<>();
      Thread thread =
          new Thread(
              () -> {
                try {
                  uloop.loop(store);
                  end.complete(null);
                } catch (Throwable e) {
                  end.completeExceptionally(e);
                  device.completeExceptionally(e);
                }
              },
              "test-loop-1");
      thread.start();
      return new Running(uloop, end, device.get(20, SECONDS));
    }

    byte[] read(long offset, int length) throws IOException {
      ByteBuffer buffer = ByteBuffer.allocate(length);
      device.read(offset, buffer);
      return buffer.array();
    }

    void stop() throws Exception {
      uloop.close();
      end.get(20, SECONDS);
    }
  }

  @Test
  void loop_readers_getWhatTheFunctionStored() throws Exception {
    Running running = Running.start(init, LibUloopTest::store);

    assertThat(running.read(123_457, 54_321)).isEqualTo(PatternSource.bytes(123_457, 54_321));
    assertThat(running.read(SIZE - 1, 1)).isEqualTo(PatternSource.bytes(SIZE - 1, 1));
    running.stop();
  }

  @Test
  void loop_secondRun_asksForNothingThatIsThere() throws Exception {
    Running first = Running.start(init, LibUloopTest::store);
    first.read(0, 8192);
    first.stop();

    Running second =
        Running.start(
            init,
            (start, size, file) -> {
              throw new SourceUnavailableException("away");
            });

    assertThat(second.read(0, 8192)).isEqualTo(PatternSource.bytes(0, 8192));
    second.stop();
  }

  @Test
  void sizes_ofAnImage_areThoseOfTheStructure() throws Exception {
    LibUloop uloop = LibUloop.init(init);

    assertThat(uloop.pageSize()).isEqualTo(4096);
    assertThat(uloop.targetSize()).isEqualTo(SIZE);
    assertThat(uloop.cacheSize()).isEqualTo(1_003_520);
    Running running = Running.start(init, LibUloopTest::store);
    running.stop();
    assertThat(Files.size(init.cache())).isEqualTo(uloop.cacheSize());
  }

  @Test
  void store_throws_failsTheReadAndNoOther() throws Exception {
    Running running =
        Running.start(
            init,
            (start, size, file) -> {
              if (start >= 500_000) {
                throw new SourceUnavailableException("bad half");
              }
              store(start, size, file);
            });

    assertThatThrownBy(() -> running.read(900_000, 10))
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessage("bad half");
    assertThat(running.read(10, 10)).isEqualTo(PatternSource.bytes(10, 10));
    running.stop();
  }

  @Test
  void store_returnsEarly_isAnError() throws Exception {
    Running running =
        Running.start(
            init,
            (start, size, file) ->
                file.write(ByteBuffer.wrap(PatternSource.bytes(start, 100)), start));

    assertThatThrownBy(() -> running.read(4096, 4096))
        .isInstanceOf(SourceProtocolException.class)
        .hasMessageContaining("not written");
    running.stop();
  }

  @Test
  void store_leavesAGap_isAnError() throws Exception {
    Running running =
        Running.start(init, (start, size, file) -> file.write(ByteBuffer.allocate(10), start + 10));

    assertThatThrownBy(() -> running.read(0, 10)).hasStackTraceContaining("not the next bytes");
    running.stop();
  }

  @Test
  void loop_detachedFromOutside_ends() throws Exception {
    Running running = Running.start(init, LibUloopTest::store);

    TestTransport.detach(init.device());

    running.end().get(20, SECONDS);
    running.uloop().close();
  }

  @Test
  void loop_afterClose_isClosed() throws Exception {
    LibUloop uloop = LibUloop.init(init);
    uloop.close();
    uloop.close();

    assertThatThrownBy(() -> uloop.loop(LibUloopTest::store))
        .isInstanceOf(ClosedChannelException.class);
  }

  @Test
  void loop_twice_isAMistake() throws Exception {
    Running running = Running.start(init, LibUloopTest::store);

    assertThatThrownBy(() -> running.uloop().loop(LibUloopTest::store))
        .isInstanceOf(IllegalStateException.class);
    running.stop();
  }

  @Test
  void loop_afterOneThatFailed_isAMistakeUntilItIsClosed() throws Exception {
    LibUloop uloop =
        LibUloop.init(new LibUloop.Init("pigeon:1", init.cache(), init.bitmap(), SIZE));
    assertThatThrownBy(() -> uloop.loop(LibUloopTest::store)).hasMessageContaining("pigeon:1");
    assertThat(init.cache()).doesNotExist();
    assertThat(init.bitmap()).doesNotExist();

    assertThatThrownBy(() -> uloop.loop(LibUloopTest::store))
        .isInstanceOf(IllegalStateException.class);
    uloop.close();
    assertThatThrownBy(() -> uloop.loop(LibUloopTest::store))
        .isInstanceOf(ClosedChannelException.class);
  }

  @Test
  void loop_deviceThatNobodyKnows_isNamed() throws Exception {
    LibUloop.Init nowhere =
        new LibUloop.Init("pigeon:1", init.cache(), init.bitmap(), SIZE, 4096, "first");

    assertThatThrownBy(() -> Running.start(nowhere, LibUloopTest::store))
        .isInstanceOf(ExecutionException.class)
        .hasRootCauseInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("pigeon:1");
  }

  /** Hands the device to the test that waits for it. */
  public static final class TestTransport implements DeviceTransport {
    private static final Map<String, CompletableFuture<BlockDevice>> EXPECTED =
        new ConcurrentHashMap<>();
    private static final Map<String, CompletableFuture<Void>> ENDS = new ConcurrentHashMap<>();

    static CompletableFuture<BlockDevice> expect(String place) {
      return EXPECTED.computeIfAbsent(place, key -> new CompletableFuture<>());
    }

    static void detach(String place) {
      ENDS.get(place).complete(null);
    }

    @Override
    public boolean accepts(String place) {
      return place.startsWith("test:");
    }

    @Override
    public Attachment attach(BlockDevice device, String place, Map<String, String> properties) {
      CompletableFuture<Void> end = new CompletableFuture<>();
      ENDS.put(place, end);
      EXPECTED.remove(place).complete(device);
      return new Attachment() {
        @Override
        public String place() {
          return place;
        }

        @Override
        public void await() throws InterruptedException {
          try {
            end.get();
          } catch (ExecutionException e) {
            throw new AssertionError(e);
          }
        }

        @Override
        public void close() {
          end.complete(null);
        }
      };
    }
  }
}
