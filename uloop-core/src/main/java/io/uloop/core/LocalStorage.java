/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import org.jspecify.annotations.Nullable;

/** The machine's file system, see {@link LocalFile}. */
final class LocalStorage implements Storage {

  private static final FileAttribute<?> OWNER_ONLY =
      PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

  /** As the kernel has it (path_resolution(7)). */
  private static final int MOST_LINKS = 40;

  @Override
  public File open(Path path, Mode mode) throws IOException {
    if (mode == Mode.EXISTING && !Files.exists(path)) {
      throw new NoSuchFileException(path.toString());
    }
    if (mode == Mode.CREATE) {
      createPrivate(target(path));
    }
    requireRegular(path);
    return new LocalFile(path);
  }

  /** Whatever else it is, such as a named pipe, may let who opens it wait for ever. */
  private static void requireRegular(Path path) throws IOException {
    if (Files.exists(path) && !Files.isRegularFile(path)) {
      throw new FileSystemException(path.toString(), null, "is not a regular file");
    }
  }

  /** Makes the file if it is missing, for its owner only: an image may hold anything. */
  private static void createPrivate(Path path) throws IOException {
    try {
      Files.createFile(path, OWNER_ONLY);
    } catch (FileAlreadyExistsException e) {
      // Its owner has chosen who may read it.
    }
  }

  @Override
  public Path target(Path path) throws IOException {
    Path target = path;
    for (int links = 0; Files.isSymbolicLink(target); links++) {
      if (links == MOST_LINKS) {
        throw new FileSystemLoopException(path.toString());
      }
      target = target.resolveSibling(Files.readSymbolicLink(target));
    }
    return target;
  }

  @Override
  public boolean exists(Path path) {
    return Files.exists(path);
  }

  @Override
  public String key(Path path) throws IOException {
    return LocalFile.key(path);
  }

  @Override
  public byte[] readAll(Path path) throws IOException {
    requireRegular(path);
    // A stream, unlike a channel, does not fail when the thread has been interrupted.
    try (FileInputStream in = new FileInputStream(path.toFile())) {
      return in.readNBytes(MOST_BYTES + 1);
    }
  }

  @Override
  public void replace(Path path, byte[] content) throws IOException {
    Path fresh = Storage.freshOf(path);
    Files.deleteIfExists(fresh); // of a replacement that a crash cut off
    createPrivate(fresh);
    try (FileOutputStream out = new FileOutputStream(fresh.toFile())) {
      out.write(content);
      out.getFD().sync();
    } catch (IOException e) {
      try {
        Files.deleteIfExists(fresh);
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      throw e;
    }
    Files.move(fresh, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    forceDirectory(path.toAbsolutePath().getParent());
  }

  @Override
  public void forceDirectory(@Nullable Path directory) throws IOException {
    if (directory == null) {
      return;
    }
    // Only a channel opens a directory, and an interrupt would close it: so it is kept for later.
    boolean interrupted = false;
    try {
      while (true) {
        interrupted |= Thread.interrupted();
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
          channel.force(true);
          return;
        } catch (ClosedByInterruptException e) {
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  @Override
  public void delete(Path path) throws IOException {
    Files.deleteIfExists(path);
  }
}
