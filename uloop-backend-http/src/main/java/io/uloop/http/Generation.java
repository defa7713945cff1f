/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.Validator;
import io.uloop.http.AttemptFailure.Kind;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * What tells the bytes of one image from those that may replace it, as its server says it.
 *
 * @param size the size in bytes
 * @param validator a strong ETag, else a Last-Modified date; empty if the server sends neither
 * @param marks all that the server said of the content: a strong ETag, a Last-Modified date, a
 *     Repr-Digest (RFC 9530), each with its name before it
 */
record Generation(long size, Optional<Validator> validator, Set<String> marks) {

  private static final String DIGEST = "Repr-Digest ";

  /** Reads what an answer says. */
  static Generation of(long size, Exchange answer) {
    Set<String> marks = new TreeSet<>();
    strongTag(answer).ifPresent(tag -> marks.add("ETag " + tag));
    String modified = answer.header("Last-Modified");
    if (modified != null && !modified.isEmpty()) {
      marks.add("Last-Modified " + Text.printable(modified));
    }
    String digest = answer.header("Repr-Digest");
    if (digest != null && !digest.isEmpty()) {
      marks.add(DIGEST + Text.printable(digest));
    }
    return new Generation(size, validatorOf(answer), Set.copyOf(marks));
  }

  /**
   * Tells whether a mirror has the same image: the same size, and the same ETag, Last-Modified date
   * or digest; never if both have a digest and the two differ.
   */
  boolean sameImage(Generation other) {
    if (size != other.size) {
      return false;
    }
    if (hasDigest() && other.hasDigest()) {
      return marks.stream().anyMatch(m -> m.startsWith(DIGEST) && other.marks.contains(m));
    }
    return marks.stream().anyMatch(other.marks::contains);
  }

  private boolean hasDigest() {
    return marks.stream().anyMatch(m -> m.startsWith(DIGEST));
  }

  private static Optional<String> strongTag(Exchange answer) {
    String tag = answer.header("ETag");
    return tag != null
            && tag.length() > 2
            && tag.startsWith("\"")
            && tag.endsWith("\"")
            && isPlain(tag)
        ? Optional.of(tag)
        : Optional.empty();
  }

  /** Whether a value could be sent back: no field may have control characters (RFC 9110, 5.5). */
  private static boolean isPlain(String value) {
    return value.chars().noneMatch(c -> c < ' ' || c == 127);
  }

  /** Gives size and marks as a message shows them. */
  @Override
  public String toString() {
    return size + " bytes, " + (marks.isEmpty() ? "no validator" : new TreeSet<>(marks));
  }

  /**
   * Reads the validator of an answer.
   *
   * <p>A weak ETag is left out: it may stay while bytes change (RFC 9110, section 8.8.1). So is one
   * without quotes, or with control characters, which could not be sent back.
   */
  private static Optional<Validator> validatorOf(Exchange answer) {
    Optional<String> tag = strongTag(answer);
    if (tag.isPresent()) {
      return Optional.of(new Validator(Validator.Kind.ETAG, tag.get()));
    }
    String modified = answer.header("Last-Modified");
    return modified == null || modified.isEmpty() || !isPlain(modified)
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

  /** Tells whether an answer has a header of the kind that {@link #check} compares. */
  boolean isSaidBy(Exchange answer) {
    return validator.isPresent()
        && answer.header(validator.get().kind() == Validator.Kind.ETAG ? "ETag" : "Last-Modified")
            != null;
  }

  /** Says that the size is another one. */
  AttemptFailure otherSize(long actual) {
    return new AttemptFailure(
        Kind.CHANGED, "the image has changed: size was " + size + ", is " + actual);
  }
}
