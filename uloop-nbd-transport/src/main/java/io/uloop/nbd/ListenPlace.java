/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** The places where a server can listen, written as text. */
final class ListenPlace {

  static final String UNIX = "unix:";
  static final String TCP = "tcp:";

  /** The socket that systemd or inetd opened. */
  static final String INHERITED = "inherited:";

  private ListenPlace() {}

  /** Checks the form; resolves nothing. */
  static void check(String place) {
    if (isUnix(place)) {
      try {
        UnixSocketAddress.check(place.substring(UNIX.length()));
        UnixDomainSocketAddress.of(place.substring(UNIX.length()));
      } catch (InvalidPathException e) {
        throw new IllegalArgumentException("no path: place=" + place, e);
      }
    } else if (isTcp(place)) {
      port(place);
    } else if (!place.equals(INHERITED)) {
      throw new IllegalArgumentException(
          "not a place to listen at: place=" + place + " expected=unix:/path or tcp:host:port");
    }
  }

  /** Checks that a socket's directory is there. */
  static void checkDirectory(String place) throws IOException {
    if (isUnix(place)) {
      Path directory = Path.of(place.substring(UNIX.length())).toAbsolutePath().getParent();
      if (directory != null && !Files.isDirectory(directory)) {
        throw new IOException("cannot listen at " + place + ": no directory " + directory);
      }
    }
  }

  static boolean isUnix(String place) {
    return place.startsWith(UNIX) && place.length() > UNIX.length();
  }

  /** Tells whether a place is a unix socket that has a name instead of a file. */
  static boolean isAbstract(String place) {
    return place.startsWith(UNIX + "@");
  }

  static boolean isTcp(String place) {
    return place.startsWith(TCP);
  }

  /** Gives what to bind to. */
  static SocketAddress address(String place) throws UnknownHostException {
    if (isUnix(place)) {
      return UnixDomainSocketAddress.of(place.substring(UNIX.length()));
    }
    String host = host(place);
    InetAddress address =
        host.isEmpty() ? InetAddress.getLoopbackAddress() : InetAddress.getByName(host);
    return new InetSocketAddress(address, port(place));
  }

  /** Writes a bound address as a place. */
  static String text(SocketAddress address) {
    if (address instanceof UnixDomainSocketAddress unix) {
      return UNIX + unix.getPath();
    }
    InetSocketAddress inet = (InetSocketAddress) address;
    String host = inet.getAddress().getHostAddress();
    return TCP + (host.indexOf(':') < 0 ? host : '[' + host + ']') + ':' + inet.getPort();
  }

  private static String host(String place) {
    String rest = place.substring(TCP.length());
    int bracket = rest.indexOf(']');
    int colon = rest.lastIndexOf(':');
    String host = colon > bracket ? rest.substring(0, colon) : rest;
    return host.startsWith("[") && host.endsWith("]") ? host.substring(1, host.length() - 1) : host;
  }

  private static int port(String place) {
    String rest = place.substring(TCP.length());
    int colon = rest.lastIndexOf(':');
    if (colon < 0 || colon < rest.indexOf(']')) {
      return Nbd.DEFAULT_PORT;
    }
    try {
      int port = Integer.parseInt(rest.substring(colon + 1));
      if (port >= 0 && port <= 65535) {
        return port;
      }
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("no port number: place=" + place, e);
    }
    throw new IllegalArgumentException("no port number: place=" + place);
  }
}
