/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.InterruptedIOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * The same request, asked of a second origin when the first is slow; the first good head wins.
 *
 * <pre>
 *   OPEN --(the first origin's head is good, or it gave up)--> FIRST   the second is ended
 *   OPEN --(the second origin's head is good)--> SECOND                the first is ended
 * </pre>
 *
 * <p><b>Ownership:</b> the exchange of a second that won belongs to the reader.
 *
 * <p><b>Threads:</b> {@link #run} on a thread of {@link Hedging}, the rest on the reader's.
 */
final class Hedge implements Runnable {

  private enum Winner {
    OPEN,
    FIRST,
    SECOND
  }

  /** What came of a request: who answered, and which bytes of the body were asked for. */
  record Answered(Origin origin, Attempt attempt, Exchange exchange, Answers.Slice slice) {}

  private final HttpBlockSource source;
  private final Origin second;
  private final Attempt firstAttempt;
  private final Attempt attempt;
  private final long first;
  private final long last;
  private final long deadline;
  private final AtomicReference<Winner> winner = new AtomicReference<>(Winner.OPEN);
  private final CompletableFuture<@Nullable Answered> done = new CompletableFuture<>();
  private volatile boolean running;
  private @Nullable Future<?> scheduled;

  Hedge(
      HttpBlockSource source,
      Origin second,
      Attempt firstAttempt,
      long first,
      long last,
      long deadline) {
    this.source = source;
    this.second = second;
    this.firstAttempt = firstAttempt;
    this.first = first;
    this.last = last;
    this.deadline = deadline;
    this.attempt = new Attempt(deadline);
  }

  void schedule() {
    scheduled = source.hedging().whenSlow(this);
  }

  @Override
  public void run() {
    running = true;
    Answered answered = null;
    try {
      if (winner.get() == Winner.OPEN && source.hedging().pay(cost())) {
        answered = ask();
      }
    } catch (AttemptFailure | InterruptedIOException e) {
      // The first origin is still being asked; this one's failure costs nothing.
      answered = null;
    } finally {
      done.complete(answered);
    }
  }

  // A server without ranges sends all of a small image.
  private long cost() {
    long size = source.generation().size();
    return size <= Answers.MOST_WHOLE_BYTES ? size : last - first + 1;
  }

  private @Nullable Answered ask() throws AttemptFailure, InterruptedIOException {
    source.watchdog().add(attempt);
    Exchange exchange = null;
    boolean won = false;
    try {
      Generation pinned = source.origins().ready(second, source.generation(), attempt, deadline);
      attempt.limitNanos(Nanos.after(System.nanoTime(), source.config().answerNanos(), deadline));
      exchange = second.send("GET", "bytes=" + first + "-" + last, attempt);
      Answers.Slice slice = Answers.slice(exchange, pinned, first, last);
      won = winner.compareAndSet(Winner.OPEN, Winner.SECOND);
      if (won) {
        firstAttempt.abort("a mirror was faster");
        return new Answered(second, attempt, exchange, slice);
      }
      return null;
    } finally {
      if (!won) {
        source.watchdog().remove(attempt);
        if (exchange != null) {
          exchange.close();
        }
      }
    }
  }

  /**
   * Says that the first origin's head is good.
   *
   * @return whether it won; if not, {@link #result} has the answer
   */
  boolean firstAnswered() {
    boolean won = winner.compareAndSet(Winner.OPEN, Winner.FIRST) || winner.get() == Winner.FIRST;
    if (won) {
      end();
    }
    return won;
  }

  /** Ends the second request; no answer of it will be taken. */
  void end() {
    Future<?> timer = scheduled;
    if (timer != null) {
      timer.cancel(false);
    }
    attempt.abort("the first origin was faster");
  }

  /** Ends the second request, whatever came of it. */
  void abandon() {
    if (!winner.compareAndSet(Winner.OPEN, Winner.FIRST) && winner.get() == Winner.SECOND) {
      Answered answered = done.join();
      if (answered != null) {
        answered.exchange().close();
        source.watchdog().remove(attempt);
      }
    }
    end();
  }

  /** Waits for the second origin if it is being asked; null if nothing comes of it. */
  @Nullable Answered result() {
    if (!running) {
      winner.compareAndSet(Winner.OPEN, Winner.FIRST);
      if (!running) {
        end();
        return null;
      }
    }
    try {
      return done.get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (ExecutionException | TimeoutException e) {
      // Nothing came; the reader goes on with the failure of the first.
    }
    abandon();
    return null;
  }
}
