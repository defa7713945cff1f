/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.util.Objects;

/**
 * What tells one generation of a source's bytes from the next.
 *
 * @param kind what the value is
 * @param value the value as the source gave it, opaque
 * @since 0.1
 */
public record Validator(Kind kind, String value) {

  /** The kinds of validator, strongest first. */
  public enum Kind {
    /** A strong entity tag (RFC 9110, section 8.8.3), with its quotes. */
    ETAG,
    /** A Last-Modified date (RFC 9110, section 8.8.2), as sent. */
    LAST_MODIFIED,
    /** A digest of the whole content, {@code algorithm:hex}. */
    DIGEST,
    /** The serial number of a block device. */
    SERIAL,
    /** The modification time of a file, in nanoseconds since the epoch, and its inode. */
    MTIME,
    /** Anything else that a source compares by equality. */
    OTHER
  }

  /**
   * Checks the parts.
   *
   * @param kind see the record
   * @param value see the record
   * @throws IllegalArgumentException if the value is empty, or has a line feed, a carriage return
   *     or half a surrogate pair, which could not be stored; the message says which and where
   */
  public Validator {
    Objects.requireNonNull(kind, "kind");
    Objects.requireNonNull(value, "value");
    if (value.isEmpty()) {
      throw new IllegalArgumentException("not a validator: kind=" + kind + " value=");
    }
    StoredText.refuse("value", value, StoredText.lineBreak(value));
    StoredText.refuse("value", value, StoredText.loneSurrogate(value));
  }

  @Override
  public String toString() {
    return kind + " " + value;
  }
}
