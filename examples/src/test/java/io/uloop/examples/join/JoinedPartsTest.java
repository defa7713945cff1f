/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples.join;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.BlockSourceContract;
import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How the author of a source tests it: extend the contract, add what is special. */
class JoinedPartsTest extends BlockSourceContract {

  @TempDir Path directory;

  private BlockSource open() throws IOException {
    URI uri = URI.create("join:" + directory.resolve("image"));
    return new JoinedPartsProvider().open(uri, SourceOptions.defaults());
  }

  @Override
  protected Origin originOf(byte[] content) throws IOException {
    int part = Math.max(1, content.length / 3);
    for (int number = 0; number == 0 || number * part < content.length; number++) {
      int end = Math.min(content.length, (number + 1) * part);
      Files.write(
          directory.resolve("image.%03d".formatted(number)),
          Arrays.copyOfRange(content, number * part, end));
    }
    return this::open;
  }

  @Test
  void open_noParts_isRefused() {
    assertThatThrownBy(this::open)
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("image.000");
  }
}
