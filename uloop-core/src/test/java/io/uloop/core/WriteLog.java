/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The log of a disk that the kernel's dm-log-writes target kept: its writes and its flushes.
 *
 * <pre>
 *   sector 0      u64 magic | u64 version | u64 number of entries | u32 bytes of a sector
 *   then, each    u64 sector | u64 sectors | u64 flags | u64 length of a mark | mark     one sector
 *                 the data, if it is neither a discard nor a mark                        sectors
 * </pre>
 *
 * All little-endian. A write is logged when a flush has made it durable, or at once if it was one
 * with FUA; so what comes before an entry with {@link Entry#isBarrier} was durable then, and what
 * comes after it may or may not have reached the disk.
 */
final class WriteLog implements Closeable {

  private static final long MAGIC = 0x6a736677736872L;
  private static final int HEADER_BYTES = 32;
  private static final int FLUSH = 1;
  private static final int FUA = 2;
  private static final int DISCARD = 4;
  private static final int MARK = 8;

  /**
   * One step of the disk.
   *
   * @param at where on the disk, in bytes
   * @param length in bytes
   * @param mark what a program had to say, or empty
   * @param dataAt where in the log the data is, in bytes
   */
  record Entry(long at, long length, long flags, String mark, long dataAt) {
    boolean isBarrier() {
      return (flags & (FLUSH | FUA | MARK)) != 0;
    }

    boolean isMark() {
      return (flags & MARK) != 0;
    }

    boolean isDiscard() {
      return (flags & DISCARD) != 0;
    }
  }

  private final FileChannel log;
  private final int sectorBytes;
  private final List<Entry> entries = new ArrayList<>();

  /** Opens the log and reads all that is in it but the data. */
  WriteLog(Path path) throws IOException {
    log = FileChannel.open(path, StandardOpenOption.READ);
    ByteBuffer header = read(0, 512);
    if (header.getLong(0) != MAGIC || header.getLong(8) != 1) {
      throw new IOException(path + ": is no write log of version 1");
    }
    long count = header.getLong(16);
    sectorBytes = header.getInt(24);
    long at = sectorBytes;
    for (long i = 0; i < count; i++) {
      header = read(at, sectorBytes);
      at += sectorBytes;
      long length = header.getLong(8) * sectorBytes;
      long flags = header.getLong(16);
      String mark = "";
      if ((flags & MARK) != 0) {
        byte[] text = new byte[(int) header.getLong(24)];
        header.get(HEADER_BYTES, text);
        mark = new String(text, StandardCharsets.US_ASCII);
      }
      entries.add(new Entry(header.getLong(0) * sectorBytes, length, flags, mark, at));
      at += (flags & DISCARD) == 0 ? length : 0;
    }
  }

  private ByteBuffer read(long at, int length) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      if (log.read(bytes, at + bytes.position()) < 0) {
        throw new EOFException("the log ends at " + (at + bytes.position()));
      }
    }
    return bytes.flip();
  }

  List<Entry> entries() {
    return entries;
  }

  int sectorBytes() {
    return sectorBytes;
  }

  /** Does a step again, on another disk. */
  void replay(Entry entry, FileChannel disk) throws IOException {
    replay(entry, 0, entry.length, disk);
  }

  /** Does a part of a step, whole sectors of it, on another disk. */
  void replay(Entry entry, long from, long to, FileChannel disk) throws IOException {
    ByteBuffer data =
        entry.isDiscard()
            ? ByteBuffer.allocate((int) (to - from))
            : read(entry.dataAt + from, (int) (to - from));
    while (data.hasRemaining()) {
      disk.write(data, entry.at + from + data.position());
    }
  }

  @Override
  public void close() throws IOException {
    log.close();
  }
}
