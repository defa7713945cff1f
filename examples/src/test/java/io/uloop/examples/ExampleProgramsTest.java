/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The programs are as short as the documentation says. */
class ExampleProgramsTest {

  @ParameterizedTest
  @CsvSource({"ReadRemoteImage, 30", "HttpOnLibUloop, 60"})
  void program_codeLines_areFew(String name, int most) throws IOException {
    Path file = Path.of("src/main/java/io/uloop/examples/" + name + ".java");

    try (var lines = Files.lines(file)) {
      long code =
          lines
              .map(String::strip)
              .filter(line -> !line.isEmpty() && !line.startsWith("*") && !line.startsWith("/*"))
              .count();
      assertThat(code).isLessThanOrEqualTo(most);
    }
  }
}
