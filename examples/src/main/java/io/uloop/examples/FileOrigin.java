/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A small HTTP server of the files in one directory, for trying uloop without a web server.
 *
 * <p>Answers GET and HEAD, with single ranges (RFC 9110, section 14) and validators, on loopback
 * only. Not a server to put on a network.
 */
public final class FileOrigin implements Closeable {

  private static final Pattern RANGE = Pattern.compile("bytes=(\\d*)-(\\d*)");
  private static final DateTimeFormatter HTTP_DATE =
      DateTimeFormatter.RFC_1123_DATE_TIME.withZone(ZoneOffset.UTC);

  private final Path directory;
  private final HttpServer server;
  private final ExecutorService threads;
  private final AtomicLong bytesSent = new AtomicLong();
  private final AtomicInteger threadNumber = new AtomicInteger();

  /**
   * Starts to serve.
   *
   * @param directory whose files to serve; no others are reached
   * @param port where to listen, 0 for any
   * @throws IOException if it cannot listen there
   */
  public FileOrigin(Path directory, int port) throws IOException {
    this.directory = directory.toRealPath();
    // The JDK's server otherwise sends headers and body apart, 40 ms apart if the client waits.
    System.setProperty("sun.net.httpserver.nodelay", "true");
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
    threads = Executors.newFixedThreadPool(16, this::thread);
    server.setExecutor(threads);
    server.createContext("/", this::answer);
    server.start();
  }

  private Thread thread(Runnable work) {
    Thread thread = new Thread(work, "uloop-origin-" + threadNumber.incrementAndGet());
    thread.setDaemon(true);
    return thread;
  }

  /**
   * Serves until it is killed.
   *
   * @param args the directory, and the port if it shall not be chosen
   * @throws IOException if it cannot listen there
   */
  public static void main(String[] args) throws IOException {
    if (args.length < 1 || args.length > 2) {
      System.err.println("usage: FileOrigin directory [port]");
      System.exit(2);
    }
    // Not closed: the server's own thread keeps the program running until it is killed.
    FileOrigin origin =
        new FileOrigin(Path.of(args[0]), args.length > 1 ? Integer.parseInt(args[1]) : 0);
    System.out.println("serving " + origin.uri(""));
  }

  /**
   * Gives the URI of a file.
   *
   * @param name its name in the directory
   * @return an http URI
   */
  public String uri(String name) {
    return "http://127.0.0.1:" + server.getAddress().getPort() + "/" + name;
  }

  /**
   * Counts the bytes of content sent.
   *
   * @return the sum over all answers, headers left out
   */
  public long bytesSent() {
    return bytesSent.get();
  }

  private void answer(HttpExchange exchange) throws IOException {
    try (exchange) {
      String method = exchange.getRequestMethod();
      Path file = directory.resolve(exchange.getRequestURI().getPath().substring(1)).normalize();
      if (!method.equals("GET") && !method.equals("HEAD")) {
        exchange.sendResponseHeaders(405, -1);
      } else if (!file.startsWith(directory) || !Files.isRegularFile(file)) {
        exchange.sendResponseHeaders(404, -1);
      } else {
        send(exchange, file, method.equals("HEAD"));
      }
    }
  }

  private void send(HttpExchange exchange, Path file, boolean headOnly) throws IOException {
    try (FileChannel channel = FileChannel.open(file)) {
      long size = channel.size();
      Instant modified = Files.getLastModifiedTime(file).toInstant();
      var headers = exchange.getResponseHeaders();
      headers.set("Accept-Ranges", "bytes");
      headers.set("Last-Modified", HTTP_DATE.format(modified));
      headers.set("ETag", "\"%x-%x\"".formatted(modified.toEpochMilli(), size));
      long start = 0;
      long end = size;
      int status = 200;
      String asked = exchange.getRequestHeaders().getFirst("Range");
      Matcher range = RANGE.matcher(asked == null ? "" : asked);
      if (range.matches() && !(range.group(1).isEmpty() && range.group(2).isEmpty())) {
        if (range.group(1).isEmpty()) {
          start = Math.max(0, size - Long.parseLong(range.group(2)));
        } else {
          start = Long.parseLong(range.group(1));
          end =
              range.group(2).isEmpty() ? size : Math.min(size, Long.parseLong(range.group(2)) + 1);
        }
        if (start >= end) {
          headers.set("Content-Range", "bytes */" + size);
          exchange.sendResponseHeaders(416, -1);
          return;
        }
        status = 206;
        headers.set("Content-Range", "bytes " + start + "-" + (end - 1) + "/" + size);
      }
      if (headOnly || start == end) {
        headers.set("Content-Length", Long.toString(end - start));
        exchange.sendResponseHeaders(status, -1);
        return;
      }
      exchange.sendResponseHeaders(status, end - start);
      copy(channel, start, end, exchange.getResponseBody());
    }
  }

  private void copy(FileChannel channel, long start, long end, OutputStream out)
      throws IOException {
    ByteBuffer piece = ByteBuffer.allocate(128 * 1024);
    for (long at = start; at < end; ) {
      piece.clear().limit((int) Math.min(piece.capacity(), end - at));
      int count = channel.read(piece, at);
      if (count < 0) {
        throw new IOException("the file became shorter while it was sent");
      }
      bytesSent.addAndGet(count); // before: who has the bytes may look at once
      out.write(piece.array(), 0, count);
      at += count;
    }
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }
}
