/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceChangedException;
import io.uloop.SourceProtocolException;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** Why one request did not give what was asked; decides what the read does next. */
final class AttemptFailure extends Exception {

  /** What kind of failure, and so what is done about it. */
  enum Kind {
    /** No connection, no answer, or an answer of 429 or 5xx: tried again until the deadline. */
    UNREACHABLE,
    /** A body that broke off or stalled: the rest is asked for. */
    BROKEN,
    /** An answer that HTTP forbids: tried again a few times, since another one may come. */
    PROTOCOL,
    /** 200 in place of 206: as {@link #PROTOCOL}, but in the end a refusal. */
    NO_RANGES,
    /** 401: tried again once if the credentials can be renewed. */
    UNAUTHORIZED,
    /**
     * 403, 404, 410, and 400, which is what S3 answers to an expired token: tried again once from
     * the first URL if that had led elsewhere.
     */
    GONE,
    /** The server says no, for good; tried again once as {@link #GONE}. */
    REFUSED,
    /** The bytes are of another generation. */
    CHANGED,
    /** 412: the validator does not match, or the server has it wrong. */
    PRECONDITION
  }

  private static final long serialVersionUID = 1L;

  private final Kind kind;
  private final String what;
  private final Duration retryAfter;

  AttemptFailure(Kind kind, String what) {
    this(kind, what, null, Duration.ZERO);
  }

  AttemptFailure(Kind kind, String what, @Nullable Throwable cause) {
    this(kind, what, cause, Duration.ZERO);
  }

  AttemptFailure(Kind kind, String what, @Nullable Throwable cause, Duration retryAfter) {
    // No stack trace: this is control flow, and the exception that leaves the source has one.
    super(what, cause, false, false);
    this.kind = kind;
    this.what = what;
    this.retryAfter = retryAfter;
  }

  Kind kind() {
    return kind;
  }

  /** Gives what happened, without URL and range. */
  String what() {
    return what;
  }

  /** Gives the time that the server asked to be left alone; zero if it did not. */
  Duration retryAfter() {
    return retryAfter;
  }

  /**
   * Turns the failure into what a caller of the source sees.
   *
   * @param asked the request: method, URL without secrets, range
   */
  UloopException toUloopException(String asked) {
    String message = asked + ": " + what;
    Throwable cause = getCause();
    return switch (kind) {
      case UNREACHABLE, BROKEN -> new SourceUnavailableException(message, cause);
      case PROTOCOL, PRECONDITION -> new SourceProtocolException(message, cause);
      case NO_RANGES, UNAUTHORIZED, GONE, REFUSED -> new SourceRefusedException(message, cause);
      case CHANGED -> new SourceChangedException(message, cause);
    };
  }
}
