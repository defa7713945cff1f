/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.SourceOptions;
import io.uloop.core.CachePair;
import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What all programs here understand alike: which files {@code -b} and {@code -c} mean. */
final class PairPlace {

  private PairPlace() {}

  /**
   * Two files if two are named; one beside the other if one is; else in the user's cache, named
   * after the image or, if only that is there, after its URL as it is written.
   */
  static CachePair of(@Nullable Path bitmap, @Nullable Path cache, URI uri) {
    if (cache == null && bitmap == null) {
      CachePair pair = CachePair.inUserCache(ImageName.of(uri));
      CachePair older = CachePair.inUserCache(ImageName.asWritten(uri));
      return older.exists() && !pair.exists() ? older : pair;
    }
    return named(bitmap, cache);
  }

  /** The same, of files of which at least one is named. */
  static CachePair named(@Nullable Path bitmap, @Nullable Path cache) {
    if (cache != null) {
      return new CachePair(cache, bitmap != null ? bitmap : beside(cache, ".bitmap"));
    } else if (bitmap != null) {
      return new CachePair(beside(bitmap, ".cache"), bitmap);
    }
    throw new IllegalArgumentException("neither -b nor -c");
  }

  private static Path beside(Path file, String suffix) {
    return file.resolveSibling(file.getFileName() + suffix);
  }

  /** Tells whether a property is the source's, not the device's. */
  static boolean ofSource(String property) {
    return property.indexOf('.') >= 0;
  }

  /** Gives the source what is meant for it. */
  static SourceOptions sourceOptions(
      Duration timeout, Map<String, String> properties, List<String> headers) {
    SourceOptions.Builder options = SourceOptions.builder().timeout(timeout);
    properties.forEach(
        (key, value) -> {
          if (ofSource(key)) {
            options.property(key, value);
          }
        });
    if (!headers.isEmpty()) {
      options.property("http.header", String.join("\n", headers));
    }
    return options.build();
  }
}
