/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;

/** Passes bytes on: a proxy that makes tunnels, or a unix socket in front of a TCP server. */
final class TestRelay implements AutoCloseable {

  private final ServerSocketChannel listener;
  private final InetSocketAddress fixed;
  private final String answer;
  private final Random chops;
  private final Set<Channel> open = ConcurrentHashMap.newKeySet();
  private final List<String> heads = new CopyOnWriteArrayList<>();

  private TestRelay(ServerSocketChannel listener, InetSocketAddress fixed, String answer) {
    this(listener, fixed, answer, null);
  }

  private TestRelay(
      ServerSocketChannel listener, InetSocketAddress fixed, String answer, Random chops) {
    this.chops = chops;
    this.listener = listener;
    this.fixed = fixed;
    this.answer = answer;
    open.add(listener);
    start(
        () -> {
          while (true) {
            SocketChannel client = listener.accept();
            open.add(client);
            start(() -> serve(client));
          }
        });
  }

  /** Starts a proxy that answers CONNECT with the given status line. */
  static TestRelay proxy(String statusLine) throws IOException {
    ServerSocketChannel listener = ServerSocketChannel.open();
    listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    return new TestRelay(listener, null, "HTTP/1.1 " + statusLine + "\r\n\r\n");
  }

  /** Starts a unix socket in front of a port. */
  static TestRelay unix(Path path, int port) throws IOException {
    ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    listener.bind(UnixDomainSocketAddress.of(path));
    return new TestRelay(
        listener, new InetSocketAddress(InetAddress.getLoopbackAddress(), port), "");
  }

  /** Starts a port before another that passes bytes on in small pieces, with time between them. */
  static TestRelay chopping(int port, Random chops) throws IOException {
    ServerSocketChannel listener = ServerSocketChannel.open();
    listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    InetSocketAddress to = new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
    return new TestRelay(listener, to, "", chops);
  }

  int port() throws IOException {
    return ((InetSocketAddress) listener.getLocalAddress()).getPort();
  }

  String url() throws IOException {
    return "http://127.0.0.1:" + port();
  }

  /** Gives the heads of the CONNECT requests. */
  List<String> heads() {
    return heads;
  }

  @FunctionalInterface
  private interface Body {
    void run() throws IOException;
  }

  private void start(Body body) {
    Thread thread =
        new Thread(
            () -> {
              try {
                body.run();
              } catch (IOException e) {
                // One side has gone.
              }
            },
            "test-relay");
    thread.setDaemon(true);
    thread.start();
  }

  private void serve(SocketChannel client) throws IOException {
    InetSocketAddress to = fixed;
    if (to == null) {
      StringBuilder head = new StringBuilder();
      ByteBuffer one = ByteBuffer.allocate(1);
      while (head.indexOf("\r\n\r\n") < 0 && client.read(one.clear()) == 1) {
        head.append((char) one.get(0));
      }
      heads.add(head.toString());
      client.write(ByteBuffer.wrap(answer.getBytes(StandardCharsets.US_ASCII)));
      if (!answer.contains(" 200 ")) {
        client.close();
        return;
      }
      String authority = head.substring("CONNECT ".length(), head.indexOf(" HTTP/"));
      int colon = authority.lastIndexOf(':');
      to =
          new InetSocketAddress(
              authority.substring(0, colon), Integer.parseInt(authority.substring(colon + 1)));
    }
    SocketChannel server = SocketChannel.open(to);
    open.add(server);
    start(() -> pump(server, client));
    pump(client, server);
  }

  private void pump(SocketChannel from, SocketChannel to) throws IOException {
    try (from;
        to) {
      ByteBuffer buffer = ByteBuffer.allocate(16 * 1024);
      while (from.read(buffer.clear()) >= 0) {
        int end = buffer.flip().limit();
        while (buffer.position() < end) {
          if (chops != null) {
            buffer.limit(Math.min(end, buffer.position() + 1 + chops.nextInt(2000)));
            LockSupport.parkNanos(2_000_000); // the pace of the line
          }
          to.write(buffer);
          buffer.limit(end);
        }
      }
    }
  }

  @Override
  public void close() throws IOException {
    for (Channel channel : open) {
      channel.close();
    }
  }
}
