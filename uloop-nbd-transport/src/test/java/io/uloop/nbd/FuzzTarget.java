/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Runs the state machine over bytes, without threads and sockets, and holds what it says against
 * {@link ProtocolModel}.
 *
 * <p>The link hands the input out in pieces of random length and takes the output in pieces too,
 * now and then nothing, so that every partial read and write is met. Workers and misses run at once
 * or are put off, at random.
 */
final class FuzzTarget implements AutoCloseable {

  static final int SIZE = 200_000;

  private final ByteBufAllocator allocator;
  private final EventLoop loop;
  private final List<Runnable> later = new ArrayList<>();

  FuzzTarget() throws IOException {
    this(new PooledByteBufAllocator(true, 0, 1, 8192, 7, 0, 0, false));
  }

  FuzzTarget(ByteBufAllocator allocator) throws IOException {
    this.allocator = allocator;
    loop = new EventLoop(allocator);
  }

  /** A client's end that gives and takes as it likes. */
  private static final class WhimsicalLink implements Link, WritableByteChannel {
    private final ByteBuffer input;
    private final Random whim;
    private final ByteArrayOutputStream output = new ByteArrayOutputStream();
    private boolean ended;

    WhimsicalLink(byte[] input, Random whim) {
      this.input = ByteBuffer.wrap(input);
      this.whim = whim;
    }

    @Override
    public int read(ByteBuffer dst) {
      if (!input.hasRemaining()) {
        return ended ? -1 : 0;
      }
      int most = Math.min(input.remaining(), dst.remaining());
      int count =
          whim.nextInt(4) == 0 ? whim.nextInt(Math.min(most, 40) + 1) : whim.nextInt(most + 1);
      dst.put(input.slice(input.position(), count));
      input.position(input.position() + count);
      return count;
    }

    @Override
    public int write(ByteBuffer src) {
      int count = whim.nextInt(3) == 0 ? whim.nextInt(src.remaining() + 1) : src.remaining();
      byte[] bytes = new byte[count];
      src.get(bytes);
      output.writeBytes(bytes);
      return count;
    }

    @Override
    public void write(ByteBuffer[] srcs, int count) {
      for (int i = 0; i < count; i++) {
        write(srcs[i]);
        if (srcs[i].hasRemaining()) {
          return;
        }
      }
    }

    @Override
    public boolean flush() {
      return true;
    }

    @Override
    public WritableByteChannel direct() {
      return this;
    }

    @Override
    public void endOutput() {}

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }

  /** What came of a run: all that was said, and whether the server hung up before the client. */
  record Outcome(byte[] output, boolean hungUp, MemoryDevice device) {}

  /** Runs one input; throws if what comes out is wrong. */
  void run(byte[] input, long seed) throws IOException {
    Outcome outcome = drive(input, seed);
    check(new ProtocolModel(input, SIZE), outcome.output, outcome.hungUp, outcome.device);
  }

  /** Runs one input; throws unless all is given back at the end, whatever came out. */
  Outcome drive(byte[] input, long seed) throws IOException {
    Random whim = new Random(seed);
    MemoryDevice device =
        new MemoryDevice(SIZE)
            .hole(16_384, 40_960)
            .absent(65_536, 150_000)
            .fetches(MemoryDevice.Fetches.values()[whim.nextInt(3)])
            .missesOn(task -> postpone(whim, task));
    NbdServerConfig config =
        NbdServerConfig.builder()
            .listen("unix:unused")
            .export(new NbdExport("disk", device))
            .build();
    MemoryBudget budget = new MemoryBudget(config.limits().serverBytes());
    ServerState state = new ServerState(config, budget, task -> postpone(whim, task));
    WhimsicalLink link = new WhimsicalLink(input, whim);
    boolean[] closed = new boolean[1];
    Connection connection = new Connection(loop, state, null, link, () -> closed[0] = true);
    connection.start(null);
    // Read and write give nothing now and then: go on until nothing has changed for long.
    int idle = 0;
    while (!closed[0] && idle < 40) {
      int before = link.output.size() - link.input.remaining();
      for (int i = later.size(); i > 0 && whim.nextBoolean(); i--) {
        later.remove(whim.nextInt(later.size())).run();
      }
      connection.pump();
      loop.runTasks();
      boolean moved = before != link.output.size() - link.input.remaining();
      idle = moved || !later.isEmpty() || link.input.hasRemaining() ? 0 : idle + 1;
    }
    boolean hungUp = closed[0];
    link.ended = true;
    for (int i = 0; i < 1000 && !closed[0]; i++) {
      connection.pump();
      loop.runTasks();
    }
    loop.runTasks();
    while (!later.isEmpty()) {
      later.remove(0).run();
      loop.runTasks();
    }
    assertThat(closed[0]).as("closed at the end").isTrue();
    assertThat(budget.used()).as("bytes held").isZero();
    return new Outcome(link.output.toByteArray(), hungUp, device);
  }

  private void postpone(Random whim, Runnable task) {
    if (whim.nextInt(3) == 0) {
      later.add(task);
    } else {
      task.run();
    }
  }

  private static void check(ProtocolModel model, byte[] output, boolean hungUp, MemoryDevice device)
      throws IOException {
    assertThat(hungUp).as("hung up").isEqualTo(model.hangsUp);
    ByteBuffer out = ByteBuffer.wrap(output);
    NbdTestClient client = new NbdTestClient(reading(out));
    client.receive(18);
    List<String> options = new ArrayList<>();
    while (options.size() < model.options.size()) {
      NbdTestClient.OptionReply reply;
      try {
        reply = client.receiveOption();
      } catch (java.io.EOFException e) {
        // Cut off by a request that made no sense.
        assertThat(model.hangsUp && model.transmission).isTrue();
        assertThat(options).isEqualTo(model.options.subList(0, options.size()));
        return;
      }
      if (reply.type() == 1 || reply.type() < 0) {
        options.add(reply.option() + "/" + Integer.toHexString(reply.type()));
      }
    }
    assertThat(options).isEqualTo(model.options);
    if (model.exportNameUsed) {
      if (out.remaining() < (model.zeroesAfterExportName() ? 134 : 10)) {
        assertThat(model.hangsUp).isTrue();
        return;
      }
      client.receive(model.zeroesAfterExportName() ? 134 : 10);
    }
    if (model.replies.stream().map(ProtocolModel.Reply::cookie).distinct().count()
        < model.replies.size()) {
      return; // Cookies twice: the client's mistake, and nobody can tell the replies apart.
    }
    Map<String, Integer> expected = new HashMap<>();
    for (ProtocolModel.Reply reply : model.replies) {
      expected.merge(key(reply.cookie(), reply.error()), 1, Integer::sum);
    }
    Map<String, Integer> given = new HashMap<>();
    while (out.hasRemaining()) {
      replyOf(model, client, out, device, given);
    }
    // A wrong magic number cuts off what still runs; else all is answered.
    if (model.hangsUp) {
      given.forEach((reply, n) -> assertThat(expected).containsKey(reply));
    } else {
      assertThat(given).isEqualTo(expected);
    }
  }

  private static String key(long cookie, int error) {
    return cookie + "/" + (error < 0 ? "any" : error);
  }

  private static void replyOf(
      ProtocolModel model,
      NbdTestClient client,
      ByteBuffer out,
      MemoryDevice device,
      Map<String, Integer> given)
      throws IOException {
    // A simple reply does not say how long it is: the request does.
    long cookie = out.remaining() >= 16 ? out.getLong(out.position() + 8) : 0;
    List<ProtocolModel.Reply> asked =
        model.replies.stream().filter(r -> r.cookie() == cookie).toList();
    ProtocolModel.Reply first = asked.isEmpty() ? null : asked.get(0);
    boolean data = model.mode == 0 && first != null && first.read();
    if (model.mode == 0
        && out.remaining() < 16 + (data && first.error() == 0 ? first.length() : 0)) {
      assertThat(model.hangsUp).as("cut off").isTrue();
      out.position(out.limit());
      return;
    }
    NbdTestClient.Chunk chunk;
    try {
      chunk = client.receiveChunk(data ? (int) first.length() : 0);
    } catch (java.io.EOFException e) {
      assertThat(model.hangsUp).as("cut off").isTrue();
      out.position(out.limit());
      return;
    }
    if (!model.written && (chunk.type() == 1 || (data && chunk.error() == 0))) {
      long offset = chunk.type() == 1 ? chunk.offset() : first.offset();
      ServerFixture.assertSame(chunk.data(), device.slice(offset, chunk.data().length));
    }
    if (chunk.done()) {
      ProtocolModel.Reply reply =
          model.replies.stream()
              .filter(r -> r.cookie() == chunk.cookie())
              .findFirst()
              .orElseThrow(() -> new AssertionError("nobody asked: cookie=" + chunk.cookie()));
      given.merge(key(chunk.cookie(), reply.error() < 0 ? -1 : chunk.error()), 1, Integer::sum);
    }
  }

  private static ByteChannel reading(ByteBuffer from) {
    return new ByteChannel() {
      @Override
      public int read(ByteBuffer dst) {
        if (!from.hasRemaining()) {
          return -1;
        }
        int count = Math.min(dst.remaining(), from.remaining());
        dst.put(from.slice(from.position(), count));
        from.position(from.position() + count);
        return count;
      }

      @Override
      public int write(ByteBuffer src) {
        throw new UnsupportedOperationException();
      }

      @Override
      public boolean isOpen() {
        return true;
      }

      @Override
      public void close() {}
    };
  }

  /** Checks that all buffers of all runs came back. */
  @Override
  public void close() {
    loop.discard();
    if (allocator instanceof PooledByteBufAllocator pooled) {
      long held =
          pooled.metric().directArenas().stream()
              .mapToLong(arena -> arena.numActiveAllocations())
              .sum();
      assertThat(held).as("buffers not released").isZero();
    }
  }
}
