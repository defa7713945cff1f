/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.Extent;
import java.nio.charset.StandardCharsets;

/**
 * What a client may ask about a range.
 *
 * <p><b>Source:</b> proto.md, "Metadata querying". {@code x-uloop:cached} is this server's own: bit
 * 0 is set where a read does not need the source.
 */
enum MetaContext {
  /** Holes and zeroes. */
  ALLOCATION(1, "base:allocation"),
  /** Which parts are local. */
  CACHED(2, "x-uloop:cached");

  /** The only bit of {@link #CACHED}: this range is read without asking the source. */
  static final int STATE_CACHED = 1;

  private final int id;
  private final String text;

  MetaContext(int id, String text) {
    this.id = id;
    this.text = text;
  }

  String text() {
    return text;
  }

  byte[] bytes() {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** Gives the number that stands for this one in transmission; never zero. */
  int id() {
    return id;
  }

  int mask() {
    return 1 << (id - 1);
  }

  /** Tells what an extent is in this context. */
  int flags(Extent extent) {
    return switch (this) {
      case ALLOCATION -> extent.zero() ? Nbd.STATE_HOLE | Nbd.STATE_ZERO : 0;
      case CACHED -> extent.present() || extent.zero() ? STATE_CACHED : 0;
    };
  }

  /**
   * Tells whether a query of a client means this context.
   *
   * @param wildcards whether a bare namespace means all of it, as it does for a list
   */
  boolean matches(String query, boolean wildcards) {
    return query.equals(text)
        || (wildcards && query.equals(text.substring(0, text.indexOf(':') + 1)));
  }
}
