/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.BindException;
import java.net.ConnectException;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.nio.channels.SocketChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * The path where a unix socket is to be, which one server at a time can have.
 *
 * <p>A path that is free is taken with a hard link, which fails if there is a file. A socket that a
 * killed server left there is replaced by renaming, in one step, under a lock of the directory
 * (flock(2), which leaves no file and ends with its holder): whoever has the lock looks once more,
 * and while it has it nobody else puts anything in the place of what is there.
 *
 * <p><b>Source:</b> link(2), rename(2), flock(2).
 */
final class SocketPlace {

  private static final System.Logger LOG = System.getLogger(SocketPlace.class.getName());

  /** Who has the lock needs it for a few system calls. */
  private static final Duration LOCK = Duration.ofSeconds(10);

  private final Path target;

  SocketPlace(Path target) {
    this.target = target;
  }

  /**
   * Puts a socket there that listens already; its old name may stay.
   *
   * @param born where it is now, in the same file system
   * @throws BindException if somebody else has the place
   */
  void take(Path born) throws IOException {
    boolean taken = false;
    while (!taken) {
      try {
        Files.createLink(target, born);
        taken = true;
      } catch (FileAlreadyExistsException e) {
        refuseIfTaken();
        taken = replace(born, false);
      } catch (FileSystemException | UnsupportedOperationException e) {
        // Not every file system has links, and not everybody may link what has another owner.
        LOG.log(Level.DEBUG, "no link to a socket: path={0} ({1})", target, e.getMessage());
        taken = replace(born, true);
      }
    }
  }

  /**
   * Puts it in the place of a stale one.
   *
   * @param orFree whether also if there is none
   * @return false if there is none any more, and it has to be there
   */
  private boolean replace(Path born, boolean orFree) throws IOException {
    NativeCalls calls = NativeCalls.load();
    NativeFd lock;
    try {
      lock =
          calls.open(
              String.valueOf(target.toAbsolutePath().getParent()),
              KernelDevice.O_RDONLY | KernelDevice.O_CLOEXEC);
    } catch (NativeException e) {
      if (e.errno() != NativeException.EACCES) {
        throw e;
      }
      // A directory that may be written but not read: nobody can lock it.
      LOG.log(Level.DEBUG, "no lock for a socket: path={0} ({1})", target, e.getMessage());
      return rename(born, orFree);
    }
    try (lock) {
      if (!KernelPoll.until(LOCK, () -> calls.tryLock(lock))) {
        throw inUse("a server may be starting there (the directory is locked)", null);
      }
      return rename(born, orFree);
    }
  }

  private boolean rename(Path born, boolean orFree) throws IOException {
    refuseIfTaken();
    if (!orFree && Files.notExists(target, LinkOption.NOFOLLOW_LINKS)) {
      return false;
    }
    Files.move(born, target, StandardCopyOption.ATOMIC_MOVE);
    return true;
  }

  /** Fails if something is there that must stay: a server that lives, or no socket. */
  void refuseIfTaken() throws IOException {
    BasicFileAttributes there;
    try {
      there = Files.readAttributes(target, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    } catch (NoSuchFileException e) {
      return;
    }
    if (!there.isOther()) {
      throw new BindException("there is a file that is no socket: path=" + target);
    }
    refuseIfServed();
  }

  /**
   * Fails if a server lives. It does not wait to be let in: one that lives may have stopped, and
   * its queue may be full; and an interrupt, which ends a connect that waits, says nothing.
   */
  private void refuseIfServed() throws IOException {
    try (ShortWay way = ShortWay.to(target);
        SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      probe.configureBlocking(false);
      probe.connect(way.address());
    } catch (ConnectException e) {
      // Nobody listens there: left behind by a server that was killed.
      LOG.log(Level.DEBUG, "a stale socket: path={0} ({1})", target, e.getMessage());
      return;
    } catch (SocketException e) {
      if (Files.notExists(target, LinkOption.NOFOLLOW_LINKS)) {
        return;
      }
      // A full queue, no permission, a socket of another kind: not ours to replace.
      throw inUse("a server may be listening there (" + e.getMessage() + ")", e);
    }
    throw inUse("a server is listening there", null);
  }

  private BindException inUse(String what, @Nullable IOException cause) {
    BindException failure = new BindException(what + ": path=" + target);
    failure.initCause(cause);
    return failure;
  }
}
