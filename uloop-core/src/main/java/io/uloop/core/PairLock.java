/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.CacheInUseException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * Keeps a file to one device: within this JVM by a set, between processes by the system's lock.
 *
 * <p>The set is the one piece of state that devices of a JVM share. POSIX locks belong to the
 * process: they would not tell two devices of one JVM apart, and closing a second descriptor of a
 * file drops the lock taken through the first. So the set is asked before a file is opened, and its
 * monitor is held over the opening (the one place where I/O runs under a lock; opens are rare).
 */
final class PairLock implements Closeable {

  /** Device and inode of the files in use; guarded by itself. */
  private static final Set<String> IN_USE = new HashSet<>();

  private final String key;
  private final Storage.File file;
  private final boolean made;

  private PairLock(String key, Storage.File file, boolean made) {
    this.key = key;
    this.file = file;
    this.made = made;
  }

  Storage.File file() {
    return file;
  }

  /** Whether the file was not there before, so that a failed open may remove it again. */
  boolean made() {
    return made;
  }

  /**
   * Opens a file and locks it until this is closed, which closes the file too.
   *
   * @throws CacheInUseException if this JVM or another process has it; the messages differ
   */
  static PairLock open(Storage storage, Path path, Storage.Mode mode) throws IOException {
    synchronized (IN_USE) {
      if (storage.exists(path) && IN_USE.contains(storage.key(path))) {
        throw new CacheInUseException(path + ": is in use by another device of this JVM");
      }
      boolean missing = !storage.exists(path);
      Storage.File file = storage.open(path, mode);
      boolean taken = false;
      try {
        if (!file.tryLock()) {
          throw new CacheInUseException(path + ": is in use by another process");
        }
        String key = file.key();
        // Who had it before may have removed it after we opened it: a file without a name is lost.
        if (!storage.exists(path) || !storage.key(path).equals(key)) {
          throw new CacheInUseException(path + ": was being removed by another process");
        }
        boolean made = missing && file.size() == 0;
        IN_USE.add(key);
        taken = true;
        return new PairLock(key, file, made);
      } finally {
        if (!taken) {
          file.close();
        }
      }
    }
  }

  @Override
  public void close() throws IOException {
    synchronized (IN_USE) {
      IN_USE.remove(key);
      file.close();
    }
  }
}
