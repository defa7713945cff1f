/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Finds out size and validator of an image, and that its server serves ranges of it.
 *
 * <p>Two requests: HEAD, which some servers refuse, answer wrongly or without what matters; and a
 * GET of the first byte, which is the same kind of request that every read will be, so its answer
 * has the last word. HEAD stays for what a range cannot say: an empty image, a total of {@code *}.
 */
final class Probe {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  private final Origin origin;
  private final HttpSettings config;
  private final Attempt attempt;
  private final long deadline;

  Probe(Origin origin, HttpSettings config, Attempt attempt, long deadline) {
    this.origin = origin;
    this.config = config;
    this.attempt = attempt;
    this.deadline = deadline;
  }

  private Exchange send(String method, @Nullable String range, long most)
      throws AttemptFailure, InterruptedIOException {
    long now = System.nanoTime();
    attempt.limitNanos(Nanos.after(now, config.answerNanos(), most));
    return origin.send(method, range, attempt);
  }

  /** What HEAD said; the size -1 if it did not say. */
  private record Head(long size, Optional<Generation> said) {}

  Generation run() throws AttemptFailure, InterruptedIOException {
    Head head = head();
    Exchange answer = firstByte();
    try {
      return judge(head, answer);
    } finally {
      // Whatever judge has not ended.
      answer.close();
    }
  }

  private Exchange firstByte() throws AttemptFailure, InterruptedIOException {
    try {
      return send("GET", "bytes=0-0", deadline);
    } catch (AttemptFailure e) {
      if (e.kind() != Kind.PROTOCOL) {
        throw e;
      }
      // Some servers send a body with their answer to HEAD, which was then read as the next answer.
      // This connection is closed now.
      return send("GET", "bytes=0-0", deadline);
    }
  }

  private Head head() throws InterruptedIOException, AttemptFailure {
    try {
      // Half of the time: a server that never answers HEAD may answer GET.
      long now = System.nanoTime();
      Exchange answer = send("HEAD", null, now + (deadline - now) / 2);
      if (answer.status() != 200) {
        // With errors servers tend to send a body, to HEAD as well.
        answer.close();
        return new Head(-1, Optional.empty());
      }
      answer.discard();
      long size = headSize(answer);
      return new Head(size, Optional.of(Generation.of(Math.max(0, size), answer)));
    } catch (AttemptFailure e) {
      if (e.kind() == Kind.REFUSED) {
        throw e;
      }
      // Some servers drop the connection on HEAD; GET tells whether this one is up.
      LOG.log(System.Logger.Level.DEBUG, () -> origin.shown() + ": HEAD: " + e.what());
      return new Head(-1, Optional.empty());
    }
  }

  private static long headSize(Exchange answer) {
    String length = answer.header("Content-Length");
    try {
      return length == null || answer.header("Content-Encoding") != null
          ? -1
          : Math.max(-1, Long.parseLong(length));
    } catch (NumberFormatException e) {
      return -1;
    }
  }

  private Generation judge(Head head, Exchange answer) throws AttemptFailure {
    switch (answer.status()) {
      case 206 -> {
        return fromPartial(head, answer);
      }
      case 200 -> {
        return fromWhole(head, answer);
      }
      case 416 -> {
        String value = answer.header("Content-Range");
        long total =
            value == null ? -1 : ContentRange.parse(value).map(ContentRange::total).orElse(-1L);
        answer.discard();
        if (total == 0 || (total < 0 && head.size() == 0)) {
          Generation said = Generation.of(0, answer);
          return said.validator().isPresent() ? said : head.said().orElse(said);
        }
        throw new AttemptFailure(Kind.NO_RANGES, "416 for the first byte");
      }
      default -> {
        AttemptFailure refusal = Answers.refusal(answer);
        answer.discard();
        throw refusal;
      }
    }
  }

  private Generation fromWhole(Head head, Exchange answer) throws AttemptFailure {
    long size = answer.contentLength();
    if (size == 0) {
      answer.discard();
      return Generation.of(0, answer);
    }
    if (size < 0 || size > Answers.MOST_WHOLE_BYTES) {
      throw new AttemptFailure(
          Kind.NO_RANGES,
          "the server does not serve byte ranges: it answered 200 to a request for one byte"
              + (size < 0 ? "" : " of " + size));
    }
    noteSize(head, size);
    Generation generation = Generation.of(size, answer);
    Answers.slice(answer, generation, 0, size - 1);
    readBody(answer, size);
    if (size > 1) {
      LOG.log(
          System.Logger.Level.INFO,
          () ->
              origin.shown()
                  + ": the server does not serve byte ranges; each read asks for all of the "
                  + size
                  + " bytes");
    }
    return generation;
  }

  private Generation fromPartial(Head head, Exchange answer) throws AttemptFailure {
    String value = answer.header("Content-Range");
    ContentRange range = value == null ? null : ContentRange.parse(value).orElse(null);
    long size = range != null && range.total() >= 0 ? range.total() : head.size();
    if (size < 1) {
      throw new AttemptFailure(Kind.REFUSED, "the server does not tell the size of the image");
    }
    noteSize(head, size);
    Generation generation = Generation.of(size, answer);
    if (Answers.slice(answer, generation, 0, 0).take() != 1) {
      throw new AttemptFailure(Kind.PROTOCOL, "more than the one byte asked for");
    }
    readBody(answer, 1);
    return generation;
  }

  private void noteSize(Head head, long size) {
    if (head.size() >= 0 && head.size() != size) {
      LOG.log(
          System.Logger.Level.WARNING,
          () ->
              origin.shown()
                  + ": HEAD says "
                  + head.size()
                  + " bytes, GET says "
                  + size
                  + "; GET is believed");
    }
  }

  // Reads that many bytes, so that a body that does not come is noticed now.
  private void readBody(Exchange answer, long length) throws AttemptFailure {
    try {
      answer.socketTimeout(TimeUnit.NANOSECONDS.toMillis(config.stallNanos()));
      int came = answer.body().readNBytes((int) length).length;
      if (came < length) {
        throw new AttemptFailure(
            Kind.BROKEN, "the body ended after " + came + " of " + length + " bytes");
      }
      if (answer.contentLength() >= 0) {
        answer.reuse();
      } else {
        // A chunked body has more to come, if only its end.
        answer.close();
      }
    } catch (IOException e) {
      String aborted = attempt.aborted();
      throw new AttemptFailure(Kind.BROKEN, aborted != null ? aborted : Text.ofFailure(e), e);
    }
  }
}
