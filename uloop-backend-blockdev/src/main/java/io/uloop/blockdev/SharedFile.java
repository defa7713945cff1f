/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.blockdev;

import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A file channel that outlives the interrupts of its users.
 *
 * <p>A {@link FileChannel} closes for everybody when a thread inside it is interrupted. Here that
 * thread gets an {@link InterruptedIOException}, and whoever comes next, or was inside too, opens
 * the channel again and goes on. States: open (channel open, or closed by an interrupt) -> closed
 * (by {@link #close}, for good).
 */
final class SharedFile implements Closeable {

  /** Opens the same file, or fails. */
  interface Opener {
    FileChannel open() throws IOException;
  }

  private final Opener opener;

  // Guards the two below. Held while the channel is opened again, so that it happens once.
  private final ReentrantLock lock = new ReentrantLock();
  private volatile FileChannel channel;
  private volatile boolean closed;

  SharedFile(Opener opener) throws IOException {
    this.opener = opener;
    channel = opener.open();
  }

  /** Reads some bytes, as {@link FileChannel#read(ByteBuffer, long)}. */
  int read(ByteBuffer dst, long offset) throws IOException {
    return run(file -> file.read(dst, offset));
  }

  /** Writes some bytes, as {@link FileChannel#write(ByteBuffer, long)}. */
  int write(ByteBuffer src, long offset) throws IOException {
    return run(file -> file.write(src, offset));
  }

  /** Makes the data durable: fdatasync(2). */
  void force() throws IOException {
    run(
        file -> {
          file.force(false);
          return 0;
        });
  }

  private interface Step {
    int on(FileChannel file) throws IOException;
  }

  private int run(Step step) throws IOException {
    while (true) {
      FileChannel file = current();
      try {
        return step.on(file);
      } catch (ClosedByInterruptException e) {
        // The flag stays set, as the caller's caller wants to see it.
        InterruptedIOException interrupted = new InterruptedIOException("interrupted");
        interrupted.initCause(e);
        throw interrupted;
      } catch (ClosedChannelException e) {
        // Ours, or another thread's interrupt: current() tells which.
        if (file.isOpen()) {
          throw e;
        }
      }
    }
  }

  private FileChannel current() throws IOException {
    FileChannel now = channel;
    if (!closed && now.isOpen()) {
      return now;
    }
    lock.lock();
    try {
      if (closed) {
        throw new ClosedChannelException();
      }
      if (!channel.isOpen()) {
        channel = opener.open();
      }
      return channel;
    } finally {
      lock.unlock();
    }
  }

  boolean isClosed() {
    return closed;
  }

  @Override
  public void close() throws IOException {
    lock.lock();
    try {
      closed = true;
      channel.close();
    } finally {
      lock.unlock();
    }
  }
}
