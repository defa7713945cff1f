/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.util.concurrent.TimeUnit.SECONDS;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.BlockSource;
import io.uloop.BlockSources;
import io.uloop.ByteRange;
import io.uloop.Extent;
import io.uloop.SourceChangedException;
import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import io.uloop.SourceUnavailableException;
import io.uloop.Validator;
import io.uloop.WritableBlockSourceContract;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FileBlockSourceTest extends WritableBlockSourceContract {

  @TempDir Path directory;
  private int files;

  @Override
  protected Origin originOf(byte[] content) throws IOException {
    Path file = Files.write(directory.resolve("image " + files++), content);
    return new Origin() {
      @Override
      public BlockSource open() throws IOException {
        return BlockSources.installed().open(file.toString(), SourceOptions.defaults());
      }

      @Override
      public BlockSource openWritable() throws IOException {
        return BlockSources.installed()
            .open(file.toString(), SourceOptions.builder().writable(true).build());
      }
    };
  }

  private Path image(int size) throws IOException {
    return Files.write(directory.resolve("image.img"), new byte[size]);
  }

  // ---- identity

  @Test
  void identity_fileWithALineBreakInItsName_canBeStored() throws Exception {
    Path file = Files.write(directory.resolve("a\nb \u0085é%0A"), new byte[10]);

    try (BlockSource source = FileBlockSource.open(file, false)) {
      assertThat(source.identity().uri()).isEqualTo("file:" + directory + "/a%0Ab %C2%85é%0A");
    }
  }

  @Test
  void identity_file_isPathInodeAndTime() throws Exception {
    Path file = image(1000);
    Files.setLastModifiedTime(
        file, FileTime.from(Instant.ofEpochSecond(1_700_000_000, 123_456_789)));

    try (BlockSource source = FileBlockSource.open(file, false)) {
      assertThat(source.identity().uri()).isEqualTo("file:" + file);
      Validator validator = source.identity().validator().orElseThrow();
      assertThat(validator.kind()).isEqualTo(Validator.Kind.MTIME);
      assertThat(validator.value())
          .isEqualTo(Files.getAttribute(file, "unix:ino") + ":1700000000123456789");
    }
  }

  @Test
  void identity_givenThroughALink_isTheLinksPath() throws Exception {
    Path link = Files.createSymbolicLink(directory.resolve("by-id"), image(1000));

    try (BlockSource source = FileBlockSource.open(link, false)) {
      assertThat(source.identity().uri()).isEqualTo("file:" + link);
    }
  }

  // ---- what cannot be opened

  @Test
  void open_noSuchFile_isRefused() {
    assertRefused("/no/such/image", "cannot open file:/no/such/image: no such file");
  }

  @Test
  void open_directory_isRefused() {
    assertRefused(
        directory.toString(),
        "file:" + directory + " is a directory, not a block device or image file");
  }

  @Test
  void open_characterDevice_isRefused() {
    assertRefused(
        "/dev/zero", "file:/dev/zero is a character device, not a block device or image file");
  }

  @Test
  void open_namedPipe_isRefusedAtOnce() throws Exception {
    Path pipe = directory.resolve("pipe");
    assertThat(new ProcessBuilder("mkfifo", pipe.toString()).start().waitFor()).isZero();

    assertRefused(
        pipe.toString(), "file:" + pipe + " is a named pipe, not a block device or image file");
  }

  @Test
  void open_fileAsDevice_isRefused() throws Exception {
    Path file = image(10);

    assertRefused("dev:" + file, "file:" + file + " is a regular file, not a block device");
  }

  private static void assertRefused(String place, String message) {
    assertThatThrownBy(() -> BlockSources.installed().open(place, SourceOptions.defaults()))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessage(message);
  }

  // Such a file refuses to be written by root, too, so this works whoever runs it.
  @Test
  void openForWriting_notPermitted_isRefused() {
    assertThatThrownBy(() -> FileBlockSource.open(Path.of("/proc/sys/kernel/ostype"), true))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessage("cannot open for writing file:/proc/sys/kernel/ostype: permission denied");
  }

  @ParameterizedTest
  @ValueSource(strings = {"file:relative", "file://host/x", "dev:sda", "file:/x?y=z", "file:/x#y"})
  void open_uriThatIsNoLocalPath_isAnArgumentError(String uri) {
    assertThatThrownBy(
            () -> BlockSources.installed().open(URI.create(uri), SourceOptions.defaults()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(uri);
  }

  @ParameterizedTest
  @ValueSource(strings = {"file:%s", "file://%s", "file://localhost%s", "FILE:%s"})
  void open_allWritingsOfALocalPath_areRead(String form) throws Exception {
    URI uri = URI.create(form.formatted(image(10)));

    try (BlockSource source = BlockSources.installed().open(uri, SourceOptions.defaults())) {
      assertThat(source.size()).isEqualTo(10);
    }
  }

  @Test
  void open_unknownProperty_isNamed() throws Exception {
    SourceOptions options = SourceOptions.builder().property("file.colour", "red").build();
    String place = image(10).toString();

    assertThatThrownBy(() -> BlockSources.installed().open(place, options))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("file.colour");
  }

  // ---- what changes while it is open

  @Test
  void read_afterAnotherWroteToTheFile_throwsChanged() throws Exception {
    Path file = image(8192);
    try (BlockSource source = FileBlockSource.open(file, false)) {
      Files.setLastModifiedTime(file, FileTime.fromMillis(1));

      assertChanged(source, "was modified");
    }
  }

  @Test
  void read_afterTheFileGrew_throwsChanged() throws Exception {
    Path file = image(8192);
    try (BlockSource source = FileBlockSource.open(file, false)) {
      Files.write(file, new byte[1], StandardOpenOption.APPEND);

      assertChanged(source, "from 8192 to 8193");
    }
  }

  @Test
  void read_afterTheFileShrank_throwsChanged() throws Exception {
    Path file = image(8192);
    try (BlockSource source = FileBlockSource.open(file, true)) {
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(100);
      }

      assertChanged(source, "ends at or before 100");
    }
  }

  @Test
  void read_afterTheFileWasReplaced_throwsChanged() throws Exception {
    Path file = image(8192);
    try (BlockSource source = FileBlockSource.open(file, false)) {
      Path other = Files.write(directory.resolve("other"), new byte[8192]);
      Files.setLastModifiedTime(other, Files.getLastModifiedTime(file));
      Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);

      assertChanged(source, "was replaced");
    }
  }

  private static void assertChanged(BlockSource source, String message) {
    assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(8192)))
        .isInstanceOf(SourceChangedException.class)
        .hasMessageContaining(source.identity().uri())
        .hasMessageContaining(message);
    assertThatThrownBy(() -> source.read(0, 8192, piece -> piece.position(piece.limit())))
        .isInstanceOf(SourceChangedException.class);
  }

  @Test
  void read_fileMovedAwayAndBack_recovers() throws Exception {
    Path file = image(8192);
    Path away = directory.resolve("away");
    try (BlockSource source = FileBlockSource.open(file, false)) {
      Files.move(file, away);
      assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(1)))
          .isInstanceOf(SourceUnavailableException.class);

      Files.move(away, file);

      source.read(0, ByteBuffer.allocate(1));
    }
  }

  @Test
  void read_afterOwnWrite_isNoChange() throws Exception {
    Path file = image(8192);
    Files.setLastModifiedTime(file, FileTime.fromMillis(1));
    try (BlockSource source = FileBlockSource.open(file, true)) {
      source.write(0, ByteBuffer.wrap("uloop".getBytes(US_ASCII)));
      ByteBuffer read = ByteBuffer.allocate(5);

      source.read(0, read);

      assertThat(new String(read.array(), US_ASCII)).isEqualTo("uloop");
    }
  }

  // ---- holes

  @Test
  void extents_sparseFile_namesTheHoles() throws Exception {
    Path file = directory.resolve("sparse");
    long size = 3L << 30;
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.wrap(new byte[] {1}), 1 << 20);
      channel.write(ByteBuffer.wrap(new byte[] {1}), size - 1);
    }

    try (BlockSource source = FileBlockSource.open(file, false)) {
      List<Extent> extents = source.extents(0, size);

      assertThat(extents.get(0)).isEqualTo(new Extent(new ByteRange(0, 1 << 20), true, true));
      assertThat(extents.get(1).zero()).isFalse();
      assertThat(extents.get(2).zero()).isTrue();
      assertThat(extents.get(extents.size() - 1).range().end()).isEqualTo(size);
      assertThat(source.extents(4096, 4096))
          .containsExactly(new Extent(new ByteRange(4096, 8192), true, true));
    }
  }

  // ---- interrupts

  @Test
  void read_interruptedReader_failsAloneAndKeepsItsFlag() throws Exception {
    byte[] content = new byte[300_000];
    Path file = Files.write(directory.resolve("busy"), content);
    try (BlockSource source = FileBlockSource.open(file, false)) {
      CountDownLatch interrupts = new CountDownLatch(50);
      CompletableFuture<Void> others =
          CompletableFuture.runAsync(
              () -> {
                while (interrupts.getCount() > 0) {
                  readUnchecked(source, content.length);
                }
              });

      while (interrupts.getCount() > 0) {
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> source.read(0, ByteBuffer.allocate(content.length)))
            .isInstanceOf(InterruptedIOException.class);
        assertThat(Thread.interrupted()).isTrue();
        interrupts.countDown();
      }

      others.get(20, SECONDS);
    }
  }

  private static void readUnchecked(BlockSource source, int length) {
    try {
      source.read(0, ByteBuffer.allocateDirect(length));
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }
}
