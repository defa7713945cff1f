/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.ReadSink;
import io.uloop.SourceUnavailableException;
import io.uloop.http.AttemptFailure.Kind;
import io.uloop.http.Circuit.Admission;
import io.uloop.http.Hedge.Answered;
import io.uloop.http.Transfer.SinkFailure;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import org.jspecify.annotations.Nullable;

/**
 * One read of a range: requests until the whole range has been handed over, or it is clear that it
 * cannot be, or the deadline comes.
 *
 * <p>A request asks for what is still missing, so a body that breaks off is resumed where it
 * stopped. {@link Retries} decides what happens after a failure, {@link Transfer} moves the bytes.
 *
 * <p><b>Threads:</b> {@link #run} on one; {@link #cancel} on any.
 */
final class RangeRead {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  private final HttpBlockSource source;
  private final HttpSettings config;
  private final long offset;
  private final long end;
  private final ReadSink sink;
  private final long started = System.nanoTime();
  private final long deadline;
  private volatile boolean cancelled;
  private volatile @Nullable Attempt attempt;
  private volatile @Nullable Hedge hedge;

  // Only the reading thread.
  private final Retries retries;
  private long position;
  private int tries;

  RangeRead(HttpBlockSource source, long offset, long length, ReadSink sink) {
    this.source = source;
    this.config = source.config();
    this.offset = offset;
    this.end = offset + length;
    this.position = offset;
    this.sink = sink;
    this.deadline = started + config.timeoutNanos();
    this.retries = new Retries(source.origins(), deadline);
  }

  void run() throws IOException {
    sink.onCancel(this::cancel);
    AttemptFailure last = null;
    while (position < end) {
      Origin origin = retries.choose();
      Admission admission = admit(origin);
      if (admission == Admission.NO) {
        throw ended(origin, last);
      }
      long before = position;
      try {
        request(origin, admission);
        if (position > before) {
          retries.progressed(origin);
        }
      } catch (AttemptFailure failure) {
        last = failure;
        next(origin, failure, position - before);
      } catch (SinkFailure e) {
        throw e.failure();
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
      return origin.circuit().admit(retries.notBefore(), deadline, this::wanted);
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
    Attempt mine = new Attempt(Nanos.after(System.nanoTime(), config.answerNanos(), deadline));
    attempt = mine;
    retries.asking(origin);
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
      receive(answered.exchange(), answered.slice(), theirs);
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
      mine.limitNanos(Nanos.after(asked, config.answerNanos(), deadline));
      Exchange answer = origin.send("GET", "bytes=" + position + "-" + (end - 1), mine);
      Answers.Slice slice = judge(answer, pinned);
      if (second == null) {
        return new Answered(origin, mine, answer, slice);
      }
      source.hedging().waited(System.nanoTime() - asked);
      if (second.firstAnswered()) {
        return new Answered(origin, mine, answer, slice);
      }
      answer.close();
      throw new AttemptFailure(Kind.UNREACHABLE, "a mirror was faster");
    } catch (AttemptFailure e) {
      Answered theirs = second == null ? null : second.result();
      if (theirs == null) {
        throw e;
      }
      return theirs;
    } catch (InterruptedIOException | RuntimeException e) {
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

  private Answers.Slice judge(Exchange answer, Generation pinned) throws AttemptFailure {
    try {
      return Answers.slice(answer, pinned, position, end - 1);
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

  private void receive(Exchange answer, Answers.Slice slice, Attempt mine)
      throws AttemptFailure, SinkFailure {
    BufferPool pool = answer.isDirect() ? BufferPool.DIRECT : source.buffers();
    ByteBuffer buffer = pool.take(slice.take());
    try {
      new Transfer(answer, mine, config, buffer, this::deliver).run(slice);
    } finally {
      pool.give(buffer);
    }
  }

  private void deliver(ByteBuffer piece) throws SinkFailure {
    if (!wanted()) {
      return;
    }
    int length = piece.remaining();
    try {
      sink.accept(piece);
      position += length;
      if (!source.origins().single()) {
        source.hedging().earned(length);
      }
    } catch (IOException e) {
      throw new SinkFailure(e);
    }
  }

  /** Throws unless it is to be tried again after a failure. */
  private void next(Origin origin, AttemptFailure failure, long progress) throws IOException {
    if (!wanted()) {
      throw ended(origin, failure);
    }
    LOG.log(System.Logger.Level.DEBUG, () -> asked(origin) + ": " + failure.what());
    if (!retries.again(origin, failure, progress)) {
      throw failure.toUloopException(asked(origin));
    }
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
