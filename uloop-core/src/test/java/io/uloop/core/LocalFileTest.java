/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** A file whose path leads to another one while it is in use. */
class LocalFileTest {

  private static final int SIZE = 16384;

  @TempDir Path dir;
  private final byte[] ours = new byte[SIZE];
  private final byte[] theirs = new byte[SIZE];
  private Path path;
  private LocalFile file;

  @BeforeEach
  void replace() throws IOException {
    Arrays.fill(ours, (byte) 1);
    Arrays.fill(theirs, (byte) 2);
    path = dir.resolve("file");
    file = new LocalFile(path);
    file.write(ByteBuffer.wrap(ours), 0);
    Path other = Files.write(dir.resolve("other"), theirs);
    Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);
  }

  @AfterEach
  void close() throws IOException {
    file.close();
  }

  @Test
  void map_afterItsPathWasTaken_givesItsOwnBytes() throws IOException {
    ByteBuffer mapped = file.map(0, SIZE);

    assertThat(mapped.mismatch(ByteBuffer.wrap(ours))).isEqualTo(-1);
  }

  @Test
  @EnabledOnOs(OS.LINUX) // where holes are punched
  void punch_afterItsPathWasTaken_leavesTheOtherFileAlone() throws IOException {
    assertThatThrownBy(() -> file.punch(0, SIZE))
        .isInstanceOf(NoSuchFileException.class)
        .hasMessageContaining(path.toString())
        .hasMessageContaining("replaced while in use");

    assertThat(Files.readAllBytes(path)).isEqualTo(theirs);
  }
}
