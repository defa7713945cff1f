/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.GroupPrincipal;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.security.SecureRandom;
import java.util.Optional;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A socket that listens, and its file if it has one.
 *
 * <p>A unix socket is bound inside a directory of its own that nobody else can enter, gets its mode
 * and owner, and is then put in its place by {@link SocketPlace}: at no time can somebody connect
 * whom the mode forbids, and of several that want one place at most one gets it.
 */
final class Listener implements Closeable {

  private static final System.Logger LOG = System.getLogger(Listener.class.getName());

  private static final int BACKLOG = 512;

  private static final SecureRandom RANDOM = new SecureRandom();

  private final ServerSocketChannel channel;
  private final String place;

  /** The socket's file, to be removed, and what identifies it as ours. */
  private final @Nullable Path file;

  private final @Nullable Object fileKey;

  /** Who may connect, where no file's mode says that. */
  private final Predicate<SocketChannel> admission;

  private Listener(ServerSocketChannel channel, String place, @Nullable Path file)
      throws IOException {
    this(channel, place, file, client -> true);
  }

  private Listener(
      ServerSocketChannel channel,
      String place,
      @Nullable Path file,
      Predicate<SocketChannel> admission)
      throws IOException {
    this.admission = admission;
    this.channel = channel;
    this.place = place;
    this.file = file;
    this.fileKey = file == null ? null : attributes(file).fileKey();
    channel.configureBlocking(false);
  }

  /** Listens at one of the settings' places. */
  static Listener open(String place, NbdServerConfig config) throws IOException {
    if (place.equals(ListenPlace.INHERITED)) {
      return inherited();
    }
    if (ListenPlace.isAbstract(place)) {
      String name = place.substring(ListenPlace.UNIX.length());
      AbstractSocket socket = AbstractSocket.listen(name, BACKLOG, config);
      return new Listener(socket.channel(), place, null, socket.admission());
    }
    SocketAddress address = ListenPlace.address(place);
    try {
      return address instanceof UnixDomainSocketAddress unix
          ? openUnix(unix.getPath(), config)
          : openTcp((InetSocketAddress) address, config);
    } catch (BindException e) {
      BindException told = new BindException("cannot listen at " + place + ": " + e.getMessage());
      told.initCause(e);
      throw told;
    }
  }

  /** Takes the socket over that the one who started this process opened, wherever it listens. */
  private static Listener inherited() throws IOException {
    Optional<ServerSocketChannel> passed = SdActivation.listener();
    if (passed.isPresent()) {
      return new Listener(passed.get(), ListenPlace.INHERITED, null);
    }
    if (System.inheritedChannel() instanceof ServerSocketChannel standardInput) {
      return new Listener(standardInput, ListenPlace.INHERITED, null);
    }
    throw new IOException(
        "no listening socket was passed to this process"
            + SdActivation.addressee(System.getenv(), ProcessHandle.current().pid()));
  }

  private static Listener openTcp(InetSocketAddress address, NbdServerConfig config)
      throws IOException {
    boolean protectedByTls = config.tls().map(NbdTls::forced).orElse(false);
    if (!address.getAddress().isLoopbackAddress() && !config.allowRemote() && !protectedByTls) {
      throw new IOException(
          "refusing to listen beyond loopback without TLS: address="
              + address
              + "; force TLS or allow plain remote clients explicitly");
    }
    ServerSocketChannel channel = ServerSocketChannel.open();
    try {
      channel.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      channel.bind(address, BACKLOG);
      return new Listener(channel, ListenPlace.text(channel.getLocalAddress()), null);
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private static Listener openUnix(Path path, NbdServerConfig config) throws IOException {
    Path target = path.toAbsolutePath();
    SocketPlace place = new SocketPlace(target);
    place.refuseIfTaken();
    Path parent = Optional.ofNullable(target.getParent()).orElse(target);
    // Short, since the kernel takes 107 bytes of a path.
    Path closet = parent.resolve(".n" + Long.toString(RANDOM.nextInt() & 0xffff_ffffL, 36));
    Files.createDirectory(
        closet, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try (ShortWay way = ShortWay.to(closet.resolve("s"))) {
      Path born = closet.resolve("s");
      channel.bind(way.address(), BACKLOG);
      Files.setPosixFilePermissions(born, config.socketMode());
      if (config.socketOwner().isPresent()) {
        setOwner(born, config.socketOwner().get());
      }
      place.take(born);
      return new Listener(channel, ListenPlace.UNIX + path, target);
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    } finally {
      Files.deleteIfExists(closet.resolve("s"));
      Files.deleteIfExists(closet);
    }
  }

  private static void setOwner(Path file, String owner) throws IOException {
    UserPrincipalLookupService names = file.getFileSystem().getUserPrincipalLookupService();
    PosixFileAttributeView view =
        Files.getFileAttributeView(file, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS);
    int colon = owner.indexOf(':');
    String user = colon < 0 ? owner : owner.substring(0, colon);
    if (colon >= 0) {
      GroupPrincipal group = names.lookupPrincipalByGroupName(owner.substring(colon + 1));
      view.setGroup(group);
    }
    if (!user.isEmpty()) {
      view.setOwner(names.lookupPrincipalByName(user));
    }
  }

  private static BasicFileAttributes attributes(Path file) throws IOException {
    return Files.readAttributes(file, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
  }

  /** Tells whether a client may stay. */
  boolean admits(SocketChannel client) {
    return admission.test(client);
  }

  ServerSocketChannel channel() {
    return channel;
  }

  /** Gives the place as it came out, with the port that the system chose. */
  String place() {
    return place;
  }

  /** Listens no more; removes the socket's file unless another server has replaced it. */
  @Override
  public void close() throws IOException {
    Path own = file;
    try {
      if (own != null && attributes(own).fileKey().equals(fileKey)) {
        Files.deleteIfExists(own);
      }
    } catch (NoSuchFileException e) {
      LOG.log(Level.DEBUG, "the socket is gone already: path={0}", own);
    } finally {
      channel.close();
    }
  }
}
