/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockSource;
import io.uloop.BlockSources;
import io.uloop.core.CachePair;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Options that say which pair a command is about, and how to reach its source. */
final class CtlPair {

  @Parameters(
      index = "0",
      arity = "0..1",
      paramLabel = "URL",
      description = "the source of the pair; names the pair, too, without -b and -c")
  @Nullable String place;

  @Option(names = "-b", paramLabel = "bitmap", description = "bitmap file")
  @Nullable Path bitmap;

  @Option(names = "-c", paramLabel = "cache", description = "cache file")
  @Nullable Path cache;

  @Option(
      names = "-t",
      paramLabel = "seconds",
      description = "within how long a read of the source ends (default: ${DEFAULT-VALUE})")
  long timeoutSeconds = 30;

  @Option(
      names = "--header",
      paramLabel = "'Name: value'",
      description = "header for every request of an HTTP source; repeatable")
  List<String> headers = new ArrayList<>();

  @Option(
      names = "-o",
      paramLabel = "scheme.key=value",
      description = "property of the source; repeatable")
  Map<String, String> properties = new LinkedHashMap<>();

  @Option(
      names = "--plugins",
      paramLabel = "dir",
      description = "directory of jars with sources of other schemes")
  @Nullable Path plugins;

  /** Gives the pair that is meant. */
  CachePair pair() {
    if (bitmap == null && cache == null && place == null) {
      throw new IllegalArgumentException("which pair? -b and -c say so, or its URL");
    }
    LaunchOptions.timeout(timeoutSeconds); // also where no source is read
    return place == null
        ? PairPlace.named(bitmap, cache)
        : PairPlace.of(bitmap, cache, BlockSources.toUri(place));
  }

  /** Gives the pair that is meant, which must be there. */
  CachePair existing() throws IOException {
    CachePair pair = pair();
    if (!pair.exists()) {
      throw new IOException("no pair: neither " + pair.cacheFile() + " nor " + pair.bitmapFile());
    }
    return pair;
  }

  /** Opens the pair for a look: without its source, unless only that can say what it is. */
  CachedDevice openToLook() throws IOException {
    CachePair pair = existing();
    boolean needsSource = place != null && !Files.exists(pair.sidecarFile());
    return needsSource
        ? openWithSource(pair)
        : CachedDevice.builder(CtlPair::noSource).pair(pair).offline(true).open();
  }

  private static BlockSource noSource() throws IOException {
    throw new NoSuchFileException("the source was not to be asked");
  }

  /** Opens the pair, made if it is missing, and its source. */
  CachedDevice openWithSource() throws IOException {
    return openWithSource(pair());
  }

  private CachedDevice openWithSource(CachePair pair) throws IOException {
    if (place == null) {
      throw new IllegalArgumentException("missing URL: the source has to be read");
    }
    for (String key : properties.keySet()) {
      if (!PairPlace.ofSource(key)) {
        throw new IllegalArgumentException("no property of a source: " + key);
      }
    }
    URI uri = BlockSources.toUri(place);
    BlockSources sources = plugins == null ? BlockSources.installed() : Plugins.in(plugins);
    BlockSource source =
        sources.open(
            uri,
            PairPlace.sourceOptions(LaunchOptions.timeout(timeoutSeconds), properties, headers));
    return CachedDevice.builder(source).pair(pair).open();
  }
}
