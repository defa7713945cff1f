/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.ReadSink;
import io.uloop.SourceUnavailableException;
import io.uloop.http.AttemptFailure.Kind;
import io.uloop.http.Circuit.Admission;
import io.uloop.http.Hedge.Answered;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.hc.core5.http.MalformedChunkCodingException;
import org.apache.hc.core5.http.MessageConstraintException;
import org.jspecify.annotations.Nullable;

/**
 * One read of a range: requests until the whole range has been handed over, or it is clear that it
 * cannot be, or the deadline comes.
 *
 * <p>A request asks for what is still missing, so a body that breaks off is resumed where it
 * stopped. What happens after each kind of failure:
 *
 * <pre>
 *   UNREACHABLE        back off, try again until the deadline
 *   BROKEN             try again, at once if the last request brought something
 *   PROTOCOL NO_RANGES back off, try again, at most 3 times without progress
 *   PRECONDITION       try again without precondition, so that the answer shows what it is
 *   UNAUTHORIZED       try again once with new credentials
 *   GONE               try again once from the first URL, or with new credentials
 *   REFUSED CHANGED    throw
 * </pre>
 *
 * <p><b>Threads:</b> {@link #run} on one; {@link #cancel} on any.
 */
final class RangeRead {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  // Progress of at least this much makes a broken body no reason to wait.
  private static final long GOOD_PROGRESS_BYTES = 16 * 1024;
  private static final int GOOD_PIECE_BYTES = 64 * 1024;
  private static final long WAITED_NANOS = TimeUnit.MILLISECONDS.toNanos(1);
  private static final int MOST_PROTOCOL_FAILURES = 3;

  private final HttpBlockSource source;
  private final HttpSourceConfig config;
  private final long offset;
  private final long end;
  private final ReadSink sink;
  private final long started = System.nanoTime();
  private final long deadline;
  private volatile boolean cancelled;
  private volatile @Nullable Attempt attempt;
  private volatile @Nullable Hedge hedge;

  // Only the reading thread.
  private long position;
  private int tries;
  private int protocolFailures;
  private int backoffs;
  private boolean renewed;
  private int renewalsSeen;
  private boolean relocated;
  private long notBefore = started;
  private @Nullable Origin avoid;
  private final Set<Origin> refused = new HashSet<>(2);

  /** What the sink threw; goes to the caller as it is. */
  private static final class SinkFailure extends Exception {
    private static final long serialVersionUID = 1L;
    private final IOException failure;

    SinkFailure(IOException failure) {
      super(failure);
      this.failure = failure;
    }
  }

  RangeRead(HttpBlockSource source, long offset, long length, ReadSink sink) {
    this.source = source;
    this.config = source.config();
    this.offset = offset;
    this.end = offset + length;
    this.position = offset;
    this.sink = sink;
    this.deadline = started + config.timeout().toNanos();
  }

  void run() throws IOException {
    sink.onCancel(this::cancel);
    AttemptFailure last = null;
    while (position < end) {
      Origin origin = source.origins().choose(avoid);
      Admission admission = admit(origin);
      if (admission == Admission.NO) {
        throw ended(origin, last);
      }
      long before = position;
      try {
        request(origin, admission);
        if (position > before) {
          protocolFailures = 0;
        }
      } catch (AttemptFailure failure) {
        last = failure;
        next(origin, failure, position - before);
      } catch (SinkFailure e) {
        throw e.failure;
      }
    }
  }

  /** Ends the read soon; it then throws. */
  void cancel() {
    cancelled = true;
    Attempt now = attempt;
    if (now != null) {
      now.abort("cancelled");
    }
    Hedge second = hedge;
    if (second != null) {
      second.end();
    }
    source.origins().wake();
  }

  private boolean wanted() {
    return !cancelled && !source.closed();
  }

  private Admission admit(Origin origin) throws InterruptedIOException {
    try {
      return origin.circuit().admit(notBefore, deadline, this::wanted);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new InterruptedIOException(asked(origin) + ": interrupted");
    }
  }

  /** Sends one request for what is missing and hands over what comes. */
  private void request(Origin origin, Admission admission)
      throws AttemptFailure, SinkFailure, IOException {
    boolean decided = false;
    tries++;
    Attempt mine = new Attempt(Math.min(deadline, System.nanoTime() + config.answerNanos()));
    attempt = mine;
    renewalsSeen = origin.renewals();
    source.watchdog().add(mine);
    Answered answered = null;
    try {
      if (!wanted()) {
        throw new AttemptFailure(Kind.UNREACHABLE, "cancelled");
      }
      answered = ask(origin, mine);
      if (answered.origin().equals(origin)) {
        decided = true;
      }
      succeeded(answered.origin());
      Attempt theirs = answered.attempt();
      attempt = theirs;
      theirs.limitNanos(deadline);
      if (!wanted()) {
        throw new AttemptFailure(Kind.BROKEN, "cancelled");
      }
      receive(answered.exchange(), answered.take(), theirs);
    } catch (AttemptFailure e) {
      if (!decided && answered == null) {
        decided = true;
        settle(origin, admission, e);
      }
      throw e;
    } finally {
      source.watchdog().remove(mine);
      attempt = null;
      if (answered != null) {
        answered.exchange().close();
        source.watchdog().remove(answered.attempt());
      }
      if (!decided) {
        origin.circuit().undecided(admission);
      }
    }
  }

  /** Sends a request, to a second origin as well if the first is slow, and judges the answer. */
  private Answered ask(Origin origin, Attempt mine) throws AttemptFailure, InterruptedIOException {
    Hedge second = source.origins().single() ? null : startHedge(origin, mine);
    try {
      Generation pinned = source.origins().ready(origin, source.generation(), mine, deadline);
      long asked = System.nanoTime();
      mine.limitNanos(Math.min(deadline, asked + config.answerNanos()));
      Exchange answer = origin.send("GET", "bytes=" + position + "-" + (end - 1), mine);
      long take = judge(answer, pinned);
      if (second == null) {
        return new Answered(origin, mine, answer, take);
      }
      source.hedging().waited(System.nanoTime() - asked);
      if (second.firstAnswered()) {
        return new Answered(origin, mine, answer, take);
      }
      answer.close();
      throw new AttemptFailure(Kind.UNREACHABLE, "a mirror was faster");
    } catch (AttemptFailure e) {
      Answered theirs = second == null ? null : second.result();
      if (theirs == null) {
        throw e;
      }
      return theirs;
    } catch (InterruptedIOException e) {
      if (second != null) {
        second.abandon();
      }
      throw e;
    } finally {
      hedge = null;
    }
  }

  private @Nullable Hedge startHedge(Origin origin, Attempt mine) {
    Origin other = config.hedge() ? source.origins().otherThan(origin) : null;
    if (other == null) {
      return null;
    }
    Hedge started = new Hedge(source, other, mine, position, end - 1, deadline);
    hedge = started;
    started.schedule();
    return started;
  }

  private static void succeeded(Origin origin) {
    if (origin.circuit().succeeded()) {
      LOG.log(System.Logger.Level.INFO, () -> origin.shown() + " answers again");
    }
  }

  private long judge(Exchange answer, Generation pinned) throws AttemptFailure {
    try {
      return Answers.bytesToTake(answer, pinned, position, end - 1);
    } catch (AttemptFailure e) {
      // After an answer against the protocol nothing more on that connection can be trusted.
      if (e.kind() == Kind.PROTOCOL || e.kind() == Kind.NO_RANGES || e.kind() == Kind.CHANGED) {
        answer.close();
      } else {
        answer.discard();
      }
      throw e;
    }
  }

  // Tells the circuit what a failure says about the server.
  private void settle(Origin origin, Admission admission, AttemptFailure failure) {
    Circuit circuit = origin.circuit();
    if (!wanted()) {
      circuit.undecided(admission);
    } else if (failure.kind() == Kind.UNREACHABLE) {
      if (circuit.failed(admission, failure.retryAfter().toNanos())) {
        LOG.log(
            System.Logger.Level.WARNING,
            () -> origin.shown() + " does not answer: " + failure.what() + "; trying on");
      }
    } else {
      circuit.succeeded();
    }
  }

  private void receive(Exchange answer, long take, Attempt mine)
      throws AttemptFailure, SinkFailure {
    answer.socketTimeout(TimeUnit.NANOSECONDS.toMillis(config.stallNanos()));
    byte[] buffer = source.buffers().take(take);
    try {
      transfer(answer, take, buffer, mine);
    } finally {
      source.buffers().give(buffer);
    }
  }

  private void transfer(Exchange answer, long take, byte[] buffer, Attempt mine)
      throws AttemptFailure, SinkFailure {
    InputStream body = answer.body();
    long left = take;
    int filled = 0;
    // The window of the stall check: bytes, and the time spent waiting for them, not in the sink.
    long windowBytes = 0;
    long windowNanos = 0;
    try {
      while (left > 0) {
        long before = System.nanoTime();
        int n = body.read(buffer, filled, (int) Math.min(buffer.length - filled, left));
        if (n < 0) {
          throw new AttemptFailure(
              Kind.BROKEN, "the body ended after " + (take - left) + " of " + take + " bytes");
        }
        filled += n;
        left -= n;
        windowBytes += n;
        long waited = System.nanoTime() - before;
        windowNanos += waited;
        // What had to be waited for is handed over at once. What was there already (the rest of the
        // buffer that the head came in, one TLS record of many) is gathered to a piece of a size
        // that the sink takes cheaply.
        if (left == 0 || filled >= GOOD_PIECE_BYTES || waited > WAITED_NANOS) {
          int piece = filled;
          filled = 0;
          deliver(buffer, piece);
        }
        if (windowNanos > config.stallNanos()) {
          if (windowBytes < config.leastProgressBytes()) {
            throw new AttemptFailure(
                Kind.BROKEN, "stalled: " + windowBytes + " bytes in " + Text.seconds(windowNanos));
          }
          windowBytes = 0;
          windowNanos = 0;
        }
      }
    } catch (MalformedChunkCodingException | MessageConstraintException e) {
      throw new AttemptFailure(Kind.PROTOCOL, "body: " + Text.ofFailure(e), e);
    } catch (IOException e) {
      String aborted = mine.aborted();
      throw new AttemptFailure(
          Kind.BROKEN, aborted != null ? aborted : "body: " + Text.ofFailure(e), e);
    } finally {
      // What came before the body broke off is right.
      if (filled > 0 && wanted()) {
        deliver(buffer, filled);
      }
    }
    finish(answer, body);
  }

  private void deliver(byte[] buffer, int filled) throws SinkFailure {
    try {
      sink.accept(ByteBuffer.wrap(buffer, 0, filled));
      position += filled;
      if (!source.origins().single()) {
        source.hedging().earned(filled);
      }
    } catch (IOException e) {
      throw new SinkFailure(e);
    }
  }

  // A chunked body has an end of its own after the last byte, without which the connection cannot
  // be used again. Nobody waits for it.
  private static void finish(Exchange answer, InputStream body) {
    if (answer.contentLength() < 0) {
      try {
        answer.socketTimeout(100);
        if (body.read() >= 0) {
          // Longer than its range. What was handed over was the range that the head named.
          answer.close();
          return;
        }
      } catch (IOException e) {
        answer.close();
        return;
      }
    }
    answer.reuse();
  }

  /** Decides whether to try again after a failure, and when. */
  private void next(Origin origin, AttemptFailure failure, long progress) throws IOException {
    if (progress > 0) {
      protocolFailures = 0;
    }
    if (!wanted()) {
      throw ended(origin, failure);
    }
    LOG.log(System.Logger.Level.DEBUG, () -> asked(origin) + ": " + failure.what());
    boolean again =
        switch (failure.kind()) {
          case UNREACHABLE -> backOff(origin);
          case BROKEN -> progress >= GOOD_PROGRESS_BYTES || backOff(origin);
          case PROTOCOL -> ++protocolFailures < MOST_PROTOCOL_FAILURES && backOff(origin);
          case NO_RANGES ->
              (++protocolFailures < MOST_PROTOCOL_FAILURES && backOff(origin))
                  || leaveOut(origin, failure);
          case PRECONDITION -> {
            origin.dropPreconditions();
            yield ++protocolFailures < MOST_PROTOCOL_FAILURES;
          }
          case UNAUTHORIZED -> renew(origin) || leaveOut(origin, failure);
          case GONE -> relocate(origin) || renew(origin) || leaveOut(origin, failure);
          case REFUSED, CHANGED -> leaveOut(origin, failure);
        };
    if (!again) {
      throw failure.toUloopException(asked(origin));
    }
  }

  private boolean backOff(Origin origin) {
    avoid = origin;
    // A mirror that is well need not wait for one that is not.
    notBefore =
        source.origins().otherThan(origin) != null
            ? System.nanoTime()
            : System.nanoTime() + origin.circuit().backoff(backoffs++);
    return true;
  }

  private boolean leaveOut(Origin origin, AttemptFailure failure) {
    avoid = origin;
    relocated = false;
    renewed = false;
    protocolFailures = 0;
    refused.add(origin);
    return source.origins().leaveOut(origin, failure, refused);
  }

  private boolean relocate(Origin origin) {
    if (relocated) {
      return false;
    }
    relocated = true;
    return origin.forgetRedirects();
  }

  private boolean renew(Origin origin) {
    if (renewed) {
      return false;
    }
    renewed = true;
    return origin.renewCredentials(renewalsSeen);
  }

  private IOException ended(Origin origin, @Nullable AttemptFailure last) {
    if (source.closed()) {
      return new ClosedChannelException();
    }
    String asked = asked(origin);
    if (cancelled) {
      return new InterruptedIOException(asked + ": cancelled");
    }
    if (last != null && (last.kind() == Kind.PROTOCOL || last.kind() == Kind.NO_RANGES)) {
      return last.toUloopException(asked);
    }
    String message =
        asked
            + ": not read within "
            + Text.seconds(System.nanoTime() - started)
            + ", "
            + tries
            + (tries == 1 ? " request" : " requests")
            + (last == null ? "" : ", last: " + last.what());
    return new SourceUnavailableException(message, last == null ? null : last.getCause());
  }

  private String asked(Origin origin) {
    return "GET "
        + origin.shown()
        + " bytes "
        + position
        + "-"
        + (end - 1)
        + (position == offset ? "" : " (from " + offset + ")");
  }
}
