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
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** Passes bytes on: a proxy that makes tunnels, or a unix socket in front of a TCP server. */
final class TestRelay implements AutoCloseable {

  private final ServerSocketChannel listener;
  private final InetSocketAddress fixed;
  private final String answer;
  private final Set<Channel> open = ConcurrentHashMap.newKeySet();
  private final List<String> heads = new CopyOnWriteArrayList<>();

  private TestRelay(ServerSocketChannel listener, InetSocketAddress fixed, String answer) {
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

  String url() throws IOException {
    return "http://127.0.0.1:" + ((InetSocketAddress) listener.getLocalAddress()).getPort();
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

  private static void pump(SocketChannel from, SocketChannel to) throws IOException {
    try (from;
        to) {
      ByteBuffer buffer = ByteBuffer.allocate(16 * 1024);
      while (from.read(buffer.clear()) >= 0) {
        buffer.flip();
        while (buffer.hasRemaining()) {
          to.write(buffer);
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
