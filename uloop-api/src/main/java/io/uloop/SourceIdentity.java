/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.util.Objects;
import java.util.Optional;

/**
 * What a source is, so that a cache made from it is never mixed with another.
 *
 * @param uri where the bytes come from, without credentials; safe to log and to store, so without
 *     control characters (percent-encoded, if there are any)
 * @param size the size in bytes
 * @param validator what tells this generation from the next; empty if the source has none, and then
 *     the size alone must do
 * @since 0.1
 */
public record SourceIdentity(String uri, long size, Optional<Validator> validator) {

  /**
   * Checks the parts.
   *
   * @param uri see the record
   * @param size see the record
   * @param validator see the record
   * @throws IllegalArgumentException if the size is negative, or the URI has a control character, a
   *     line break of any kind or half a surrogate pair, which could not be stored; the message
   *     says which and where
   */
  public SourceIdentity {
    Objects.requireNonNull(uri, "uri");
    Objects.requireNonNull(validator, "validator");
    StoredText.refuse("uri", uri, StoredText.control(uri));
    StoredText.refuse("uri", uri, StoredText.loneSurrogate(uri));
    if (size < 0) {
      throw new IllegalArgumentException("negative size: uri=" + uri + " size=" + size);
    }
  }
}
