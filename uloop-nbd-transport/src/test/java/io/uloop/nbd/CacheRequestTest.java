/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.EXTENDED;
import static io.uloop.nbd.NbdTestClient.SIMPLE;
import static io.uloop.nbd.NbdTestClient.STRUCTURED;
import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.ByteRange;
import io.uloop.DeviceCapabilities;
import io.uloop.DeviceStatistics;
import io.uloop.ReadCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** proto.md, "NBD_CMD_CACHE", of an export that nobody could hold. */
@Timeout(30)
class CacheRequestTest {

  private static final long SIZE = 1L << 50;
  private static final int EINVAL = 22;

  @TempDir Path directory;
  private final HugeDevice device = new HugeDevice();
  private NbdServer server;

  @BeforeEach
  void start() throws IOException {
    server =
        NbdServer.start(
            NbdServerConfig.builder()
                .listen("unix:" + directory.resolve("s"))
                .export(new NbdExport("disk", device))
                .build());
  }

  @AfterEach
  void stop() throws IOException {
    server.close();
  }

  private NbdTestClient go(int mode) throws IOException {
    return NbdTestClient.connect(server).hello().go(mode, "disk");
  }

  @Test
  void cache_wholeHugeExport_isPassedOnAsItIsAndAnsweredAtOnce() throws IOException {
    try (NbdTestClient client = go(EXTENDED)) {
      client.request(0, 5, 1, 0, SIZE);

      assertThat(NbdTestClient.error(client.receiveReply(0))).isZero();
      assertThat(device.prefetched).containsExactly(new ByteRange(0, SIZE));
      assertThat(server.heldBytes()).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {SIMPLE, STRUCTURED})
  void cache_longestOfShortHeaders_isPassedOnAsItIs(int mode) throws IOException {
    try (NbdTestClient client = go(mode)) {
      client.request(0, 5, 1, 1 << 20, 0xffff_ffffL);

      assertThat(NbdTestClient.error(client.receiveReply(0))).isZero();
      assertThat(device.prefetched)
          .containsExactly(new ByteRange(1 << 20, (1 << 20) + 0xffff_ffffL));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0,1125899906842625",
    "1125899906842623,2",
    "4096,9223372036854775807",
    "-1,4096",
    "0,-1"
  })
  void cache_beyondTheEnd_isInvalidAndNotPassedOn(long offset, long length) throws IOException {
    try (NbdTestClient client = go(EXTENDED)) {
      assertThat(client.error(0, 5, offset, length)).isEqualTo(EINVAL);
      assertThat(device.prefetched).isEmpty();
    }
  }

  @Test
  void cache_manyOfWholeExportWithoutReadingReplies_holdNothing() throws Exception {
    int count = 20_000;
    try (NbdTestClient client = go(EXTENDED)) {
      byte[] one = client.requestBytes(0, 5, 7, 0, SIZE, new byte[0]);
      CompletableFuture<Void> sending =
          CompletableFuture.runAsync(
              () -> {
                try {
                  for (int i = 0; i < count; i++) {
                    client.send(one);
                  }
                } catch (IOException e) {
                  throw new IllegalStateException(e);
                }
              });
      // More than a socket holds of replies: what is not taken stays in the client's own socket.
      ServerFixture.await("some are passed on", () -> device.prefetched.size() > 100);
      assertThat(server.heldBytes()).isZero();
      for (int i = 0; i < count; i++) {
        assertThat(NbdTestClient.error(client.receiveReply(0))).isZero();
      }
      sending.get(10, TimeUnit.SECONDS);

      assertThat(device.prefetched).hasSize(count);
    }
  }

  /** Has no bytes, and takes note of what is to be fetched. */
  private static final class HugeDevice extends AbsentDevice {

    final ConcurrentLinkedQueue<ByteRange> prefetched = new ConcurrentLinkedQueue<>();

    @Override
    public long size() {
      return SIZE;
    }

    @Override
    public DeviceCapabilities capabilities() {
      return DeviceCapabilities.readOnly(4096);
    }

    @Override
    public void prefetch(long offset, long length) {
      prefetched.add(new ByteRange(offset, offset + length));
    }

    @Override
    public void read(long offset, ByteBuffer dst) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void readAsync(long offset, ByteBuffer dst, ReadCompletion completion) {
      completion.done(new UnsupportedOperationException());
    }

    @Override
    public void flush() {}

    @Override
    public DeviceStatistics statistics() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void close() {}
  }
}
