/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.apache.hc.core5.http.MalformedChunkCodingException;
import org.apache.hc.core5.http.MessageConstraintException;

/**
 * Hands over the wanted part of one body, as it comes, and watches that it does come.
 *
 * <p>A body stalls when it brings less than {@link HttpSettings#leastProgressBytes} within the
 * stall timeout; time that the target takes is not counted.
 *
 * <p><b>Threads:</b> one.
 */
final class Transfer {

  /** Takes what came. */
  @FunctionalInterface
  interface Target {
    /** Takes the bytes between position and limit, which are valid until it returns. */
    void deliver(ByteBuffer piece) throws SinkFailure;
  }

  /** What the reader's sink threw; goes to the caller as it is. */
  static final class SinkFailure extends Exception {
    private static final long serialVersionUID = 1L;
    private final IOException failure;

    SinkFailure(IOException failure) {
      super(failure);
      this.failure = failure;
    }

    IOException failure() {
      return failure;
    }
  }

  // How long, in all, the bytes of one piece may be waited for.
  private static final long WAITED_MILLIS = 1;
  private static final long WAITED_NANOS = TimeUnit.MILLISECONDS.toNanos(WAITED_MILLIS);
  // How long the end of a body may take after its last byte that matters.
  private static final long END_MILLIS = 100;

  private final Exchange answer;
  private final Attempt attempt;
  private final HttpSettings config;
  private final long stallMillis;
  private final ByteBuffer buffer;
  private final Target target;
  private long pieceNanos;
  // The window of the stall check: bytes, and the time spent waiting for them.
  private long windowBytes;
  private long windowNanos;

  /**
   * Begins a transfer.
   *
   * @param answer an exchange whose head was found right
   * @param attempt what may end it from outside
   * @param buffer where bytes are gathered, direct only if the answer {@linkplain Exchange#isDirect
   *     takes that}; lent until {@link #run} returns
   * @param target where they go
   */
  Transfer(
      Exchange answer, Attempt attempt, HttpSettings config, ByteBuffer buffer, Target target) {
    this.answer = answer;
    this.attempt = attempt;
    this.config = config;
    this.stallMillis = TimeUnit.NANOSECONDS.toMillis(config.stallNanos());
    this.buffer = buffer.clear();
    this.target = target;
  }

  /**
   * Hands over the slice and ends the exchange; if it fails, what came before has been handed over
   * and the caller ends the exchange.
   */
  void run(Answers.Slice slice) throws AttemptFailure, SinkFailure {
    answer.socketTimeout(stallMillis);
    InputStream body = answer.body();
    try {
      skip(slice);
      take(body, slice.take());
    } catch (MalformedChunkCodingException | MessageConstraintException e) {
      throw new AttemptFailure(Kind.PROTOCOL, "body: " + Text.ofFailure(e), e);
    } catch (IOException e) {
      String aborted = attempt.aborted();
      throw new AttemptFailure(
          Kind.BROKEN, aborted != null ? aborted : "body: " + Text.ofFailure(e), e);
    } finally {
      // What came before the body broke off is right.
      if (buffer.position() > 0) {
        deliver();
      }
    }
    finish(body, slice.rest());
  }

  private void skip(Answers.Slice slice) throws IOException, AttemptFailure {
    for (long left = slice.skip(); left > 0; ) {
      long before = System.nanoTime();
      int n = answer.read(room(left));
      buffer.clear();
      if (n < 0) {
        throw ended(slice.skip() - left, slice.skip() + slice.take());
      }
      left -= n;
      progressed(n, System.nanoTime() - before);
    }
  }

  private void take(InputStream body, long take) throws IOException, AttemptFailure, SinkFailure {
    for (long left = take; left > 0; ) {
      // With chunks a line that breaks off could not be taken up again, so no short timeout there.
      if (buffer.position() > 0 && answer.contentLength() < 0 && body.available() == 0) {
        deliver();
      }
      long before = System.nanoTime();
      int n = read(room(left));
      if (n < 0) {
        throw ended(take - left, take);
      }
      left -= n;
      long waited = System.nanoTime() - before;
      pieceNanos += waited;
      // What had to be waited for is handed over at once. What was there already (the rest of the
      // buffer that the head came in, one TLS record of many) is gathered to a piece of a size
      // that the sink takes cheaply.
      if (left == 0
          || n == 0
          || buffer.position() == buffer.capacity()
          || pieceNanos > WAITED_NANOS) {
        deliver();
      }
      progressed(n, waited);
    }
  }

  /** Limits the buffer to what is wanted. */
  private ByteBuffer room(long left) {
    return buffer.limit((int) Math.min(buffer.capacity(), buffer.position() + left));
  }

  /**
   * Reads on into the buffer, up to its limit. If there are bytes in it already, who wants them
   * shall not wait for those that follow: then 0 means that none came soon.
   */
  private int read(ByteBuffer into) throws IOException, AttemptFailure {
    if (into.position() == 0 || answer.contentLength() < 0) {
      return answer.read(into);
    }
    answer.socketTimeout(WAITED_MILLIS);
    try {
      return answer.read(into);
    } catch (SocketTimeoutException e) {
      return 0;
    } finally {
      answer.socketTimeout(stallMillis);
    }
  }

  private static AttemptFailure ended(long came, long wanted) {
    return new AttemptFailure(
        Kind.BROKEN, "the body ended after " + came + " of " + wanted + " bytes");
  }

  private void progressed(int bytes, long waited) throws AttemptFailure {
    windowBytes += bytes;
    windowNanos += waited;
    if (windowNanos > config.stallNanos()) {
      if (windowBytes < config.leastProgressBytes()) {
        throw new AttemptFailure(
            Kind.BROKEN, "stalled: " + windowBytes + " bytes in " + Text.seconds(windowNanos));
      }
      windowBytes = 0;
      windowNanos = 0;
    }
  }

  private void deliver() throws SinkFailure {
    pieceNanos = 0;
    try {
      target.deliver(buffer.flip().slice());
    } finally {
      buffer.clear();
    }
  }

  // A chunked body has an end of its own after the last byte, and the slice may not be all of the
  // body. Without that end the connection cannot be used again; nobody waits for it for long.
  private void finish(InputStream body, long rest) {
    if (answer.contentLength() >= 0) {
      answer.discard(rest, END_MILLIS);
      return;
    }
    // The end may have fields, each within the time of one socket read: so a limit for all of it.
    attempt.limitNanos(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(END_MILLIS));
    answer.socketTimeout(END_MILLIS);
    try {
      if (body.read() < 0) {
        answer.reuse();
      } else {
        // Longer than its range. What was handed over was the range that the head named.
        answer.close();
      }
    } catch (IOException e) {
      answer.close();
    }
  }
}
