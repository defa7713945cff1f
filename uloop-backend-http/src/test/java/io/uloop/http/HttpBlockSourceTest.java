/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.BlockSource;
import io.uloop.BlockSourceContract;
import io.uloop.SourceOptions;
import java.io.IOException;

/** What every source owes its callers, of this one. */
final class HttpBlockSourceTest extends BlockSourceContract {

  @Override
  protected Origin originOf(byte[] content) throws IOException {
    LyingOrigin server = LyingOrigin.serving(content);
    return new Origin() {
      @Override
      public BlockSource open() throws IOException {
        return new HttpSourceProvider().open(server.uri(), SourceOptions.defaults());
      }

      @Override
      public void close() throws IOException {
        server.close();
      }
    };
  }
}
