/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * Logs every change of the files below it, with its content and in its order.
 *
 * <p>One change at a time: what is logged as forced was written before the force began. The log is
 * what {@link CrashStates} makes the states from that a power cut may leave.
 */
final class RecordingStorage implements Storage {

  /** One change of one file. */
  sealed interface Change {
    Path path();
  }

  /** The name was made; durable with the directory. */
  record Made(Path path, String key) implements Change {}

  record Wrote(Path path, long position, byte[] bytes) implements Change {}

  record Sized(Path path, long size) implements Change {}

  record Punched(Path path, long position, long length) implements Change {}

  record Forced(Path path) implements Change {}

  /** Old or new, and durable when it returned. */
  record Replaced(Path path, byte[] content) implements Change {}

  record Deleted(Path path) implements Change {}

  /** The names in the directory are durable. */
  record DirectoryForced(Path path) implements Change {}

  private final MemoryStorage below;
  private final Predicate<Path> forgetForces;
  private final List<Change> log = new ArrayList<>();

  RecordingStorage(MemoryStorage below) {
    this(below, path -> false);
  }

  /**
   * Makes a recorder that can lie, so that the tests can be seen to fail.
   *
   * @param forgetForces files whose forces are left out of the log, as if they had no effect
   */
  RecordingStorage(MemoryStorage below, Predicate<Path> forgetForces) {
    this.below = below;
    this.forgetForces = forgetForces;
  }

  synchronized List<Change> log() {
    return List.copyOf(log);
  }

  @Override
  public synchronized File open(Path path, Mode mode) throws IOException {
    boolean made = !below.exists(path);
    File file = below.open(path, mode);
    if (made) {
      log.add(new Made(path, file.key()));
    }
    return new Recorded(file);
  }

  @Override
  public boolean exists(Path path) {
    return below.exists(path);
  }

  @Override
  public String key(Path path) throws IOException {
    return below.key(path);
  }

  @Override
  public byte[] readAll(Path path) throws IOException {
    return below.readAll(path);
  }

  @Override
  public synchronized void replace(Path path, byte[] content) {
    below.replace(path, content);
    log.add(new Replaced(path, content.clone()));
  }

  @Override
  public synchronized void forceDirectory(Path directory) {
    log.add(new DirectoryForced(directory));
  }

  @Override
  public synchronized void delete(Path path) {
    if (below.exists(path)) {
      below.delete(path);
      log.add(new Deleted(path));
    }
  }

  private final class Recorded implements File {
    private final File file;

    Recorded(File file) {
      this.file = file;
    }

    @Override
    public Path path() {
      return file.path();
    }

    @Override
    public long size() throws IOException {
      return file.size();
    }

    @Override
    public void setSize(long size) throws IOException {
      synchronized (RecordingStorage.this) {
        file.setSize(size);
        log.add(new Sized(path(), size));
      }
    }

    @Override
    public void read(ByteBuffer dst, long position) throws IOException {
      file.read(dst, position);
    }

    @Override
    public void write(ByteBuffer src, long position) throws IOException {
      byte[] bytes = new byte[src.remaining()];
      src.duplicate().get(bytes);
      synchronized (RecordingStorage.this) {
        file.write(src, position);
        log.add(new Wrote(path(), position, bytes));
      }
    }

    @Override
    public void force() throws IOException {
      synchronized (RecordingStorage.this) {
        file.force();
        if (!forgetForces.test(path())) {
          log.add(new Forced(path()));
        }
      }
    }

    @Override
    public void punch(long position, long length) throws IOException {
      synchronized (RecordingStorage.this) {
        file.punch(position, length);
        log.add(new Punched(path(), position, length));
      }
    }

    @Override
    public long allocatedBytes() throws IOException {
      return file.allocatedBytes();
    }

    @Override
    public String key() {
      return file.key();
    }

    @Override
    public String mark() throws IOException {
      return file.mark();
    }

    @Override
    public void setMark(String mark) throws IOException {
      file.setMark(mark);
    }

    @Override
    public ByteBuffer map(long position, long length) throws IOException {
      return file.map(position, length);
    }

    @Override
    public long transferTo(long position, long length, WritableByteChannel target)
        throws IOException {
      return file.transferTo(position, length, target);
    }

    @Override
    public boolean tryLock() throws IOException {
      return file.tryLock();
    }

    @Override
    public void close() throws IOException {
      file.close();
    }
  }
}
