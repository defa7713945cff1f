/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.Closeable;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.CancelledKeyException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ClosedSelectorException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A channel that is waited for with a timeout.
 *
 * <p>It does not block, and one selector waits for it: so an interrupt neither closes it nor ends a
 * wait (it is kept for who waits next), and {@link #close} closes the selector too, which wakes the
 * thread that waits. A virtual thread that waits holds its carrier, before JDK 24.
 *
 * <p><b>Threads:</b> one connects, receives or sends at a time; any may close.
 */
final class TimedChannel implements Closeable {

  /**
   * How much of the heap is received into or sent at once: the JDK keeps a direct buffer of that
   * size for the thread. Its own sockets have the same limit.
   */
  private static final int MOST_COPIED_BYTES = 128 * 1024;

  private final SocketChannel channel;
  private final Selector selector;

  /** Takes over a channel that is not connected; closes it if there is no selector for it. */
  TimedChannel(SocketChannel channel) throws IOException {
    this.channel = channel;
    try {
      selector = Selector.open();
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  /** Gives the channel, for its options and addresses. */
  SocketChannel channel() {
    return channel;
  }

  /**
   * Connects; closed if it fails.
   *
   * @param millis for how long to try; 0 for as long as the kernel does. A unix socket does not
   *     heed it: it connects at once, or waits for room in the backlog
   * @throws SocketTimeoutException if there was no answer in time
   * @throws IOException if it is refused, or closed meanwhile
   */
  void connect(SocketAddress address, int millis) throws IOException {
    boolean connected = false;
    try {
      if (address instanceof UnixDomainSocketAddress) {
        connectBlocking(address);
        waitsBySelector();
      } else {
        waitsBySelector();
        if (!channel.connect(address)) {
          await(SelectionKey.OP_CONNECT, millis, "connect");
          channel.finishConnect();
        }
      }
      connected = true;
    } catch (ClosedChannelException e) {
      throw closed(e);
    } finally {
      if (!connected) {
        close();
      }
    }
  }

  /** Blocks while there is no room in the backlog; a close ends that, and an interrupt then. */
  private void connectBlocking(SocketAddress address) throws IOException {
    boolean interrupted = Thread.interrupted();
    try {
      channel.connect(address);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private void waitsBySelector() throws IOException {
    channel.configureBlocking(false);
    try {
      channel.register(selector, 0);
    } catch (ClosedSelectorException e) {
      throw closed(e);
    }
  }

  /** Waits until the channel is ready, or for so many milliseconds; 0 for ever. */
  private void await(int interest, int millis, String what) throws IOException {
    long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    boolean interrupted = false;
    try {
      SelectionKey key = channel.keyFor(selector);
      if (key == null) {
        throw closed(null);
      }
      key.interestOps(interest);
      long left = millis;
      while (selector.select(ready -> {}, left) == 0) {
        // An interrupt has the selector return, now and each time until it is taken.
        interrupted |= Thread.interrupted();
        left = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime() + 999_999);
        if (!channel.isOpen()) {
          throw closed(null);
        } else if (millis == 0) {
          left = 0;
        } else if (left <= 0) {
          throw new SocketTimeoutException(what + " timed out");
        }
      }
    } catch (ClosedSelectorException | CancelledKeyException e) {
      throw closed(e);
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static SocketException closed(@Nullable Exception cause) {
    SocketException closed = new SocketException("Socket closed");
    if (cause != null) {
      closed.initCause(cause);
    }
    return closed;
  }

  /**
   * Receives what there is, or waits for it.
   *
   * @param into where to, from its position on; without a copy if it is direct, and not more than
   *     128 KiB if it is not
   * @param millis for how long to wait; 0 for ever
   * @return how many bytes came; -1 at the stream's end
   * @throws SocketTimeoutException if none came in time; more may be received later
   * @throws IOException if the connection is broken, or closed
   */
  int receive(ByteBuffer into, int millis) throws IOException {
    int limit = into.limit();
    try {
      copiesLittle(into);
      int n = channel.read(into);
      while (n == 0 && into.hasRemaining()) {
        await(SelectionKey.OP_READ, millis, "read");
        n = channel.read(into);
      }
      return n;
    } catch (IOException e) {
      throw failed(e);
    } finally {
      into.limit(limit);
    }
  }

  /**
   * Sends all, and waits as long as it takes: a write that timed out could not be told how far it
   * came.
   */
  void send(ByteBuffer bytes) throws IOException {
    int limit = bytes.limit();
    try {
      while (bytes.position() < limit) {
        copiesLittle(bytes.limit(limit));
        if (channel.write(bytes) == 0) {
          await(SelectionKey.OP_WRITE, 0, "write");
        }
      }
    } catch (IOException e) {
      throw failed(e);
    }
  }

  private static void copiesLittle(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      buffer.limit(Math.min(buffer.limit(), buffer.position() + MOST_COPIED_BYTES));
    }
  }

  /** Gives a failure as those of the JDK's sockets are, by which TLS tells them from its own. */
  private static IOException failed(IOException e) {
    if (e instanceof ClosedChannelException) {
      return closed(e);
    } else if (e instanceof SocketException || e instanceof SocketTimeoutException) {
      return e;
    }
    return (SocketException) new SocketException(Text.ofFailure(e)).initCause(e);
  }

  @Override
  public void close() throws IOException {
    try {
      channel.close();
    } finally {
      selector.close();
    }
  }
}
