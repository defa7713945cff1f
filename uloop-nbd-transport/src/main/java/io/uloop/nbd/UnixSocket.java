/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;

/**
 * A connected unix stream socket whose descriptor can be handed to the kernel.
 *
 * <p>A {@link java.nio.channels.SocketChannel} does not tell its descriptor, which is what {@code
 * NBD_ATTR_SOCKETS} and {@code NBD_SET_SOCK} want.
 *
 * <p><b>Threads:</b> for one at a time.
 */
final class UnixSocket implements Closeable {

  static final int SOCK_STREAM = 1;
  static final int SOCK_DGRAM = 2;
  static final int SOCK_CLOEXEC = 0x80000;

  private static final int SOL_SOCKET = 1;
  private static final int SO_RCVTIMEO = 20;
  private static final int SO_SNDTIMEO = 21;
  private static final int MSG_NOSIGNAL = 0x4000;

  /** {@code struct timeval}: two longs. */
  private static final int TIMEVAL_BYTES = 2 * com.sun.jna.Native.LONG_SIZE;

  private final NativeCalls calls;
  private final NativeFd fd;

  /** Who is at the other end, for messages. */
  private final String peer;

  private UnixSocket(NativeCalls calls, NativeFd fd, String peer) {
    this.calls = calls;
    this.fd = fd;
    this.peer = peer;
  }

  /**
   * Connects to a listening socket; nothing stays open if that fails.
   *
   * @param calls the C library
   * @param path the socket's path, or {@code @name} for an abstract one
   * @param timeout after which a read or write fails
   * @throws IllegalArgumentException if the path does not fit
   */
  static UnixSocket connect(NativeCalls calls, String path, Duration timeout) throws IOException {
    byte[] address = UnixSocketAddress.of(path);
    NativeFd fd = calls.socket(UnixSocketAddress.AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    try {
      UnixSocket socket = new UnixSocket(calls, fd, "unix:" + path);
      socket.timeouts(timeout);
      calls.connect(fd, address, path);
      return socket;
    } catch (IOException | RuntimeException e) {
      closeAfter(fd, e);
      throw e;
    }
  }

  /** Makes two that are connected with each other. */
  static UnixSocket[] pair(NativeCalls calls) throws IOException {
    NativeFd[] fds = calls.socketpair(UnixSocketAddress.AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC);
    return new UnixSocket[] {
      new UnixSocket(calls, fds[0], fds[0].toString()),
      new UnixSocket(calls, fds[1], fds[1].toString())
    };
  }

  /** Gives the descriptor's number, which stays this socket's. */
  int number() {
    return fd.number();
  }

  /** Writes everything. */
  void write(byte[] bytes) throws IOException {
    byte[] rest = bytes;
    while (rest.length > 0) {
      int sent = calls.send(fd, rest, MSG_NOSIGNAL);
      rest = java.util.Arrays.copyOfRange(rest, sent, rest.length);
    }
  }

  /**
   * Reads exactly so many bytes, and none of what follows them.
   *
   * @return the bytes, ready to be read, big-endian
   * @throws EOFException if the stream ends before
   */
  ByteBuffer read(int length) throws IOException {
    ByteBuffer all = ByteBuffer.allocate(length);
    while (all.hasRemaining()) {
      byte[] piece = new byte[all.remaining()];
      int got = calls.recv(fd, piece, 0);
      if (got == 0) {
        throw new EOFException(
            "end of stream after " + all.position() + " of " + length + " bytes from " + fd);
      }
      all.put(piece, 0, got);
    }
    return all.flip();
  }

  /** Sets the time after which a read or a write fails; zero for never. */
  void timeouts(Duration timeout) throws IOException {
    ByteBuffer timeval = ByteBuffer.allocate(TIMEVAL_BYTES).order(ByteOrder.nativeOrder());
    if (TIMEVAL_BYTES == 2 * Long.BYTES) {
      timeval.putLong(timeout.getSeconds()).putLong(timeout.getNano() / 1000);
    } else {
      timeval.putInt((int) timeout.getSeconds()).putInt(timeout.getNano() / 1000);
    }
    calls.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval.array());
    calls.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeval.array());
  }

  /**
   * Gives the time after which a write fails.
   *
   * <p>The kernel's nbd sets it to its own request timeout when it takes a socket, which is the one
   * sign of that which can be seen from outside.
   */
  Duration sendTimeout() throws IOException {
    byte[] timeval = new byte[TIMEVAL_BYTES];
    calls.getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeval);
    ByteBuffer value = ByteBuffer.wrap(timeval).order(ByteOrder.nativeOrder());
    return TIMEVAL_BYTES == 2 * Long.BYTES
        ? Duration.ofSeconds(value.getLong()).plusNanos(1000 * value.getLong())
        : Duration.ofSeconds(value.getInt()).plusNanos(1000L * value.getInt());
  }

  /** Tells whether the connection is shut down, by us or the other side; reads nothing. */
  boolean isCut() throws IOException {
    return calls.pollHangUp(fd);
  }

  @Override
  public void close() throws IOException {
    fd.close();
  }

  @Override
  public String toString() {
    return peer;
  }

  private static void closeAfter(NativeFd fd, Exception primary) {
    try {
      fd.close();
    } catch (IOException e) {
      primary.addSuppressed(e);
    }
  }
}
