/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** A file system in memory, so that thousands of crash states are quick to make and open. */
final class MemoryStorage implements Storage {

  private static final AtomicLong KEYS = new AtomicLong();

  /** A file's bytes, sparse; a copy shares them until one side writes. Guarded by itself. */
  static final class Image {
    static final int CHUNK = 4096;

    final String key;
    private long size;
    private final TreeMap<Long, byte[]> chunks = new TreeMap<>();

    Image(String key) {
      this.key = key;
    }

    synchronized Image copy() {
      Image copy = new Image(key);
      copy.size = size;
      copy.chunks.putAll(chunks);
      return copy;
    }

    synchronized long size() {
      return size;
    }

    synchronized void setSize(long size) {
      if (size < this.size) {
        punch(size, this.size - size);
      }
      this.size = size;
    }

    synchronized void write(long position, byte[] bytes, int from, int to) {
      for (int at = from; at < to; ) {
        long offset = position + at;
        int within = (int) (offset % CHUNK);
        int n = Math.min(to - at, CHUNK - within);
        byte[] old = chunks.get(offset / CHUNK);
        byte[] fresh = old == null ? new byte[CHUNK] : old.clone();
        System.arraycopy(bytes, at, fresh, within, n);
        chunks.put(offset / CHUNK, fresh);
        at += n;
      }
      size = Math.max(size, position + to);
    }

    synchronized int read(ByteBuffer dst, long position) {
      int n = (int) Math.max(0, Math.min(dst.remaining(), size - position));
      for (int done = 0; done < n; ) {
        long offset = position + done;
        int within = (int) (offset % CHUNK);
        int part = Math.min(n - done, CHUNK - within);
        byte[] chunk = chunks.get(offset / CHUNK);
        dst.put(chunk == null ? new byte[part] : chunk, chunk == null ? 0 : within, part);
        done += part;
      }
      return n;
    }

    synchronized void punch(long position, long length) {
      long end = position + length;
      for (Map.Entry<Long, byte[]> entry :
          new TreeMap<>(chunks.subMap(position / CHUNK, end / CHUNK + 1)).entrySet()) {
        long start = entry.getKey() * CHUNK;
        if (start >= position && start + CHUNK <= end) {
          chunks.remove(entry.getKey());
        } else {
          byte[] fresh = entry.getValue().clone();
          for (int i = 0; i < CHUNK; i++) {
            if (start + i >= position && start + i < end) {
              fresh[i] = 0;
            }
          }
          chunks.put(entry.getKey(), fresh);
        }
      }
    }

    synchronized long allocated() {
      return (long) chunks.size() * CHUNK;
    }
  }

  private final Map<Path, Image> files = new ConcurrentHashMap<>();

  /** The file's bytes, made if it is missing. */
  Image image(Path path) {
    return files.computeIfAbsent(path, p -> new Image("memory:" + KEYS.incrementAndGet()));
  }

  Map<Path, Image> files() {
    return files;
  }

  @Override
  public File open(Path path, Mode mode) throws IOException {
    if (mode == Mode.EXISTING && !exists(path)) {
      throw new NoSuchFileException(path.toString());
    }
    return new Opened(path, image(path));
  }

  @Override
  public boolean exists(Path path) {
    return files.containsKey(path);
  }

  private Image existing(Path path) throws IOException {
    Image image = files.get(path);
    if (image == null) {
      throw new NoSuchFileException(path.toString());
    }
    return image;
  }

  @Override
  public String key(Path path) throws IOException {
    return existing(path).key;
  }

  @Override
  public byte[] readAll(Path path) throws IOException {
    Image image = existing(path);
    ByteBuffer all = ByteBuffer.allocate((int) image.size());
    image.read(all, 0);
    return all.array();
  }

  @Override
  public void replace(Path path, byte[] content) {
    Image fresh = new Image("memory:" + KEYS.incrementAndGet());
    fresh.write(0, content, 0, content.length);
    files.put(path, fresh);
  }

  @Override
  public void forceDirectory(Path directory) {}

  @Override
  public void delete(Path path) {
    files.remove(path);
  }

  private static final class Opened implements File {
    private final Path path;
    private final Image image;

    Opened(Path path, Image image) {
      this.path = path;
      this.image = image;
    }

    @Override
    public Path path() {
      return path;
    }

    @Override
    public long size() {
      return image.size();
    }

    @Override
    public void setSize(long size) {
      image.setSize(size);
    }

    @Override
    public void read(ByteBuffer dst, long position) throws IOException {
      image.read(dst, position);
      if (dst.hasRemaining()) {
        throw new EOFException("ends at " + image.size());
      }
    }

    @Override
    public void write(ByteBuffer src, long position) {
      byte[] bytes = new byte[src.remaining()];
      src.get(bytes);
      image.write(position, bytes, 0, bytes.length);
    }

    @Override
    public void force() {}

    @Override
    public void punch(long position, long length) {
      image.punch(position, length);
    }

    @Override
    public long allocatedBytes() {
      return image.allocated();
    }

    @Override
    public String key() {
      return image.key;
    }

    @Override
    public String mark() {
      return null; // as a file system without extended attributes
    }

    @Override
    public void setMark(String mark) {}

    @Override
    public ByteBuffer map(long position, long length) {
      return null;
    }

    @Override
    public long transferTo(long position, long length, WritableByteChannel target)
        throws IOException {
      ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(length, 65536));
      image.read(bytes, position);
      return target.write(bytes.flip());
    }

    @Override
    public boolean tryLock() {
      return true;
    }

    @Override
    public void close() {}
  }
}
