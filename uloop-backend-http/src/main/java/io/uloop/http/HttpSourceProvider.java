/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.BlockSource;
import io.uloop.BlockSourceProvider;
import io.uloop.ReadOnlyException;
import io.uloop.SourceOptions;
import java.io.IOException;
import java.net.URI;
import java.util.Set;

/**
 * Opens {@code http:}, {@code https:} and {@code s3:} URLs.
 *
 * <p>The properties that it knows are listed in {@code docs/http-source.md}; an unknown one whose
 * name begins with {@code http.} or {@code s3.} is an error.
 *
 * @since 0.1
 */
public final class HttpSourceProvider implements BlockSourceProvider {

  /** Makes one; it does nothing. */
  public HttpSourceProvider() {}

  @Override
  public Set<String> schemes() {
    return Set.of("http", "https", "s3");
  }

  /**
   * Opens a source.
   *
   * @throws ReadOnlyException if the options ask for a writable source
   */
  @Override
  public BlockSource open(URI uri, SourceOptions options) throws IOException {
    HttpSourceConfig config = HttpSourceConfig.of(uri, options);
    if (options.writable()) {
      throw new ReadOnlyException(config.settings().url().shown());
    }
    return HttpBlockSource.open(config);
  }
}
