/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.Validator;
import io.uloop.http.AttemptFailure.Kind;
import java.util.Optional;

/**
 * What tells the bytes of one image from those that may replace it, as its server says it.
 *
 * @param size the size in bytes
 * @param validator a strong ETag, else a Last-Modified date; empty if the server sends neither
 */
record Generation(long size, Optional<Validator> validator) {

  /**
   * Reads the validator of an answer.
   *
   * <p>A weak ETag is left out: it may stay while bytes change (RFC 9110, section 8.8.1). So is one
   * without quotes, which could not be sent back.
   */
  static Optional<Validator> validatorOf(Exchange answer) {
    String tag = answer.header("ETag");
    if (tag != null && tag.length() > 2 && tag.startsWith("\"") && tag.endsWith("\"")) {
      return Optional.of(new Validator(Validator.Kind.ETAG, tag));
    }
    String modified = answer.header("Last-Modified");
    return modified == null || modified.isEmpty()
        ? Optional.empty()
        : Optional.of(new Validator(Validator.Kind.LAST_MODIFIED, modified));
  }

  /**
   * Compares an answer with this generation.
   *
   * @throws AttemptFailure CHANGED if it is of another; PROTOCOL if it does not say
   */
  void check(Exchange answer) throws AttemptFailure {
    if (validator.isEmpty()) {
      return;
    }
    Validator expected = validator.get();
    boolean isTag = expected.kind() == Validator.Kind.ETAG;
    String name = isTag ? "ETag" : "Last-Modified";
    String value = answer.header(name);
    if (expected.value().equals(value)) {
      return;
    }
    if (value == null || value.isEmpty()) {
      throw new AttemptFailure(
          Kind.PROTOCOL,
          answer.statusLine() + " without " + name + ", expected " + expected.value());
    }
    if (isTag && value.startsWith("W/")) {
      throw new AttemptFailure(
          Kind.PROTOCOL,
          "a weak ETag, which proves nothing: "
              + Text.printable(value)
              + ", expected "
              + expected.value());
    }
    throw new AttemptFailure(
        Kind.CHANGED,
        "the image has changed: "
            + name
            + " was "
            + expected.value()
            + ", is "
            + Text.printable(value));
  }

  /** Says that the size is another one. */
  AttemptFailure otherSize(long actual) {
    return new AttemptFailure(
        Kind.CHANGED, "the image has changed: size was " + size + ", is " + actual);
  }
}
