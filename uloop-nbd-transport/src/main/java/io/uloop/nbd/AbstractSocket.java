/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.BindException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;
import jdk.net.ExtendedSocketOptions;
import jdk.net.UnixDomainPrincipal;

/**
 * A listening unix socket with a name instead of a file.
 *
 * <p>The JDK cannot bind one, but serves any descriptor that listens: so a channel is bound to a
 * file that is removed again, and its descriptor is then made to mean the socket that was bound
 * here ({@code dup2}). The descriptor is found by its inode, which {@code /proc/net/unix} tells for
 * the file.
 *
 * <p>No file's mode keeps others away, so the client's user is looked at: this process's own, root
 * and the owner that the settings name may connect; the group or everybody if the mode of the
 * settings lets them write.
 *
 * <p><b>Source:</b> unix(7), "Abstract sockets", SO_PEERCRED; proc(5).
 */
record AbstractSocket(ServerSocketChannel channel, Predicate<SocketChannel> admission) {

  private static final System.Logger LOG = System.getLogger(AbstractSocket.class.getName());

  /**
   * Listens.
   *
   * @param name with the {@code @} before it
   */
  static AbstractSocket listen(String name, int backlog, NbdServerConfig config)
      throws IOException {
    NativeCalls calls = NativeCalls.load();
    Path folder = Files.createTempDirectory("n");
    Path file = folder.resolve("s");
    ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try (NativeFd named =
        calls.socket(
            UnixSocketAddress.AF_UNIX, UnixSocket.SOCK_STREAM | UnixSocket.SOCK_CLOEXEC, 0)) {
      calls.bind(named, UnixSocketAddress.of(name));
      calls.listen(named, backlog);
      channel.bind(UnixDomainSocketAddress.of(file), 1);
      calls.dup2(named.number(), descriptor(inode(file)));
      return new AbstractSocket(channel, admission(Files.getOwner(folder), config));
    } catch (IOException | RuntimeException e) {
      channel.close();
      if (e instanceof NativeException failure && failure.errno() == NativeException.EADDRINUSE) {
        throw new BindException("a server is listening there: name=" + name);
      }
      throw e;
    } finally {
      Files.deleteIfExists(file);
      Files.deleteIfExists(folder);
    }
  }

  /** Finds the inode of the socket that is bound to a file, the number before the path. */
  private static String inode(Path file) throws IOException {
    try (Stream<String> sockets = Files.lines(Path.of("/proc/net/unix"))) {
      String line =
          sockets
              .filter(l -> l.endsWith(" " + file))
              .findFirst()
              .orElseThrow(() -> new IOException("not in /proc/net/unix: " + file));
      String[] words = line.split(" +", -1);
      return words[words.length - 2];
    }
  }

  private static int descriptor(String inode) throws IOException {
    List<Path> all;
    try (Stream<Path> open = Files.list(Path.of("/proc/self/fd"))) {
      all = open.toList();
    }
    for (Path fd : all) {
      if (isSocket(fd, inode)) {
        return Integer.parseInt(fd.getFileName().toString());
      }
    }
    throw new IOException("not in /proc/self/fd: socket=" + inode);
  }

  private static boolean isSocket(Path fd, String inode) {
    try {
      return Files.readSymbolicLink(fd).toString().equals("socket:[" + inode + "]");
    } catch (IOException e) {
      return false; // Closed meanwhile: another one's.
    }
  }

  private static Predicate<SocketChannel> admission(UserPrincipal self, NbdServerConfig config)
      throws IOException {
    UserPrincipalLookupService names = Path.of("/").getFileSystem().getUserPrincipalLookupService();
    UserPrincipal root = names.lookupPrincipalByName("0");
    String owner = config.socketOwner().orElse("");
    int colon = owner.indexOf(':');
    String user = colon < 0 ? owner : owner.substring(0, colon);
    UserPrincipal named = user.isEmpty() ? self : names.lookupPrincipalByName(user);
    Optional<UserPrincipal> group =
        colon < 0
            ? Optional.empty()
            : Optional.of(names.lookupPrincipalByGroupName(owner.substring(colon + 1)));
    boolean groupMay = config.socketMode().contains(PosixFilePermission.GROUP_WRITE);
    boolean allMay = config.socketMode().contains(PosixFilePermission.OTHERS_WRITE);
    return client -> {
      try {
        UnixDomainPrincipal peer = client.getOption(ExtendedSocketOptions.SO_PEERCRED);
        List<UserPrincipal> users = List.of(self, root, named);
        boolean may =
            allMay
                || users.contains(peer.user())
                || (groupMay && group.isPresent() && group.get().equals(peer.group()));
        if (!may) {
          LOG.log(Level.WARNING, "a client may not connect: user={0}", peer.user().getName());
        }
        return may;
      } catch (IOException e) {
        LOG.log(Level.DEBUG, "a client is gone already: " + e);
        return false;
      }
    };
  }
}
