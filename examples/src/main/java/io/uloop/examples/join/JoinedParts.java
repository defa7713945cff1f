/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples.join;

import io.uloop.BlockSource;
import io.uloop.SourceIdentity;
import io.uloop.SourceRefusedException;
import io.uloop.Validator;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Files in a row as one source.
 *
 * <p>Kept plain to be read: each read opens the part that it needs. Everything but {@link #size},
 * {@link #read} and {@link #close} could be left out; an identity is worth its few lines, since it
 * is how a cache notices that the parts are other ones.
 */
final class JoinedParts implements BlockSource {

  private final String uri;
  private final NavigableMap<Long, Path> parts; // by the offset of the first byte
  private final long size;
  private final Validator validator;
  private volatile boolean closed;

  private JoinedParts(String uri, NavigableMap<Long, Path> parts, long size, String newest) {
    this.uri = uri;
    this.parts = parts;
    this.size = size;
    validator = new Validator(Validator.Kind.OTHER, parts.size() + " parts, newest of " + newest);
  }

  static JoinedParts open(String uri, Path image) throws IOException {
    NavigableMap<Long, Path> parts = new TreeMap<>();
    long size = 0;
    String newest = "";
    for (int number = 0; ; number++) {
      Path part = image.resolveSibling("%s.%03d".formatted(image.getFileName(), number));
      if (!Files.isRegularFile(part)) {
        break;
      }
      String time = Files.getLastModifiedTime(part).toString();
      newest = time.compareTo(newest) > 0 ? time : newest;
      parts.put(size, part);
      size += Files.size(part);
    }
    if (parts.isEmpty()) {
      throw new SourceRefusedException(uri + " has no first part " + image + ".000");
    }
    return new JoinedParts(uri, parts, size, newest);
  }

  @Override
  public long size() {
    return size;
  }

  @Override
  public SourceIdentity identity() {
    return new SourceIdentity(uri, size, Optional.of(validator));
  }

  @Override
  public int parallelism() {
    return 4;
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    long at = offset;
    if (closed) {
      throw new ClosedChannelException();
    }
    while (dst.hasRemaining()) {
      Map.Entry<Long, Path> part = parts.floorEntry(at);
      // Not a channel: that would close when its reader is interrupted.
      try (RandomAccessFile file = new RandomAccessFile(part.getValue().toFile(), "r")) {
        long within = at - part.getKey();
        byte[] bytes = new byte[(int) Math.min(dst.remaining(), file.length() - within)];
        file.seek(within);
        file.readFully(bytes);
        dst.put(bytes);
        at += bytes.length;
      }
    }
  }

  @Override
  public void close() {
    closed = true;
  }
}
