/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.security.SecureRandom;
import java.util.HexFormat;

/** The words by which a sidecar knows its cache file again: device, inode and a mark of our own. */
final class CacheFileKey {

  private CacheFileKey() {}

  /** What tells this cache file from any other, also from one that got its inode after it. */
  static String of(Storage.File cache) throws IOException {
    String mark = cache.mark();
    return mark == null ? cache.key() : cache.key() + ":" + mark;
  }

  /**
   * Whether two keys are of one file. Of files with a mark the device does not count: its number
   * may be another after the next start of the machine.
   */
  static boolean same(String was, String is) {
    return (isMarked(was) && isMarked(is)) ? sameInode(was, is) : was.equals(is);
  }

  static boolean isMarked(String key) {
    return key.split(":").length == 3;
  }

  /** Whether two keys are the same but for the device. */
  static boolean sameInode(String was, String is) {
    return was.substring(was.indexOf(':') + 1).equals(is.substring(is.indexOf(':') + 1));
  }

  /** {@link #of The key} of a file that is given a mark if it has none and can have one. */
  static String marking(Storage.File cache) throws IOException {
    if (cache.mark() == null) {
      byte[] random = new byte[8];
      new SecureRandom().nextBytes(random);
      try {
        cache.setMark(HexFormat.of().formatHex(random));
      } catch (IOException e) {
        throw PairFailures.of(cache.path(), "mark", e);
      }
    }
    return of(cache);
  }
}
