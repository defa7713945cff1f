/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.BlockSources;
import io.uloop.SourceOptions;
import io.uloop.SourceUnavailableException;
import io.uloop.UloopException;
import io.uloop.Validator;
import io.uloop.WritableBlockSourceContract;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The contract on real block devices: loop devices over files. */
@Tag("root")
class LoopDeviceIT extends WritableBlockSourceContract {

  @TempDir Path directory;
  private int files;

  @Override
  protected int sizeUnitBytes() {
    return 512;
  }

  @Override
  protected LoopDevice originOf(byte[] content) throws Exception {
    Path file = Files.write(directory.resolve("image" + files++), content);
    return new LoopDevice(run("losetup", "--find", "--show", file.toString()));
  }

  private record LoopDevice(String path) implements Origin {
    @Override
    public BlockSource open() throws IOException {
      return BlockSources.installed().open("dev:" + path, SourceOptions.defaults());
    }

    @Override
    public BlockSource openWritable() throws IOException {
      return BlockSources.installed().open(path, SourceOptions.builder().writable(true).build());
    }

    @Override
    public void close() throws IOException {
      run("losetup", "--detach", path);
    }
  }

  private static String run(String... command) throws IOException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), UTF_8).strip();
    assertThat(process.onExit().join().exitValue())
        .as("%s: %s", String.join(" ", command), output)
        .isZero();
    return output.lines().reduce((first, last) -> last).orElse("");
  }

  @Test
  void identity_loopDevice_namesPathAndBackingFile() throws Exception {
    try (LoopDevice device = originOf(new byte[8192]);
        BlockSource source = device.open()) {
      assertThat(source.identity().uri()).isEqualTo("file:" + device.path());
      Validator validator = source.identity().validator().orElseThrow();
      assertThat(validator.kind()).isEqualTo(Validator.Kind.OTHER);
      assertThat(validator.value()).isEqualTo("loop over " + directory.resolve("image0"));
    }
  }

  @Test
  void size_largeDevice_isWhatTheKernelSays() throws Exception {
    Path file = directory.resolve("large");
    run("truncate", "--size=5T", file.toString());
    try (LoopDevice device = new LoopDevice(run("losetup", "--find", "--show", file.toString()));
        BlockSource source = device.open()) {
      assertThat(source.size()).isEqualTo(5L << 40);
      ByteBuffer last = ByteBuffer.allocate(512);
      source.read((5L << 40) - 512, last);
      assertThat(last.array()).containsOnly(0);
    }
  }

  @Test
  void read_beyondWhatTheBackingFileStillHas_isTyped() throws Exception {
    try (LoopDevice device = originOf(new byte[1 << 20]);
        BlockSource source = device.open()) {
      Path file = directory.resolve("image0");
      try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(4096);
      }

      assertThatThrownBy(() -> source.read(512 * 1024, ByteBuffer.allocate(4096)))
          .isInstanceOf(UloopException.class)
          .isInstanceOf(SourceUnavailableException.class)
          .hasMessageContaining("at 524288");
    }
  }
}
