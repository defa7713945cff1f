/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;

/**
 * An HTTP server of one image that answers honestly, or in any wrong way it is told to.
 *
 * <p>It writes bytes to plain sockets, so nothing between it and the client makes an answer right
 * that was meant to be wrong. Which answer a request gets, first that applies: the queue ({@link
 * #next}), the rule ({@link #when}), the standing one ({@link #always}), chance ({@link #random}),
 * else the usual one ({@link #usually}), which is honest.
 *
 * <p>A lie never sends wrong bytes under a right head: no client could tell. Whatever bytes come
 * under a Content-Range are the image's bytes of that range.
 *
 * <p><b>Threads:</b> any may configure it; each connection is answered by a thread of its own.
 */
public final class LyingOrigin implements AutoCloseable {

  /** How a request is answered. */
  @FunctionalInterface
  public interface Answer {
    /**
     * Writes the answer.
     *
     * @param request the request
     * @param wire where to
     * @throws IOException if the connection is gone
     */
    void write(Request request, Wire wire) throws IOException;
  }

  /**
   * A request as it came.
   *
   * @param method the method
   * @param target the request target
   * @param headers the headers, by names in lower case
   * @param connection the number of its connection, from 1
   * @param first the first byte of its range; 0 without one
   * @param last the last byte of its range, within the image; the image's last without one
   * @param ranged whether it had a range
   */
  public record Request(
      String method,
      String target,
      Map<String, String> headers,
      int connection,
      long first,
      long last,
      boolean ranged) {

    /** Tells whether it is a HEAD. */
    public boolean head() {
      return method.equals("HEAD");
    }

    /** Gives how many bytes it asks for. */
    public int length() {
      return (int) (last - first + 1);
    }
  }

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Answer> queue = new ArrayDeque<>();
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();
  private final List<Request> requests = new CopyOnWriteArrayList<>();
  private final AtomicInteger accepted = new AtomicInteger();
  private final AtomicInteger answered = new AtomicInteger();
  private final int port;
  private final javax.net.ssl.SSLContext tls;
  private final boolean wantClientCertificate;
  private volatile ServerSocket listener;
  private volatile byte[] image;
  private volatile String etag;
  private volatile String lastModified = "Tue, 03 Jun 2008 11:05:30 GMT";
  private volatile boolean paused;
  private volatile boolean closed;
  private volatile Predicate<Request> condition = request -> false;
  private volatile Answer conditional = Lie.NONE;
  private volatile Answer standing;
  private volatile Answer usual = Lie.NONE;
  private volatile List<? extends Answer> chances = List.of();
  private volatile double probability;
  private SplittableRandom random = new SplittableRandom();

  private LyingOrigin(byte[] image, javax.net.ssl.SSLContext tls, boolean wantClientCertificate)
      throws IOException {
    this.image = image;
    this.etag = "\"v1-" + image.length + "\"";
    this.tls = tls;
    this.wantClientCertificate = wantClientCertificate;
    listener = listen(0);
    port = listener.getLocalPort();
    accept();
  }

  /**
   * Starts one on a free port of 127.0.0.1.
   *
   * @param image its bytes; not copied
   * @return the server
   * @throws IOException if it cannot listen
   */
  public static LyingOrigin serving(byte[] image) throws IOException {
    return new LyingOrigin(image, null, false);
  }

  /**
   * Starts one that speaks TLS.
   *
   * @param image its bytes; not copied
   * @param tls its key and whom it trusts
   * @param needClientCertificate whether a client must show a certificate
   * @return the server
   * @throws IOException if it cannot listen
   */
  public static LyingOrigin servingTls(
      byte[] image, javax.net.ssl.SSLContext tls, boolean needClientCertificate)
      throws IOException {
    return new LyingOrigin(image, tls, needClientCertificate);
  }

  /**
   * Makes an image of bytes that tell their place and cannot be guessed from their neighbours.
   *
   * @param seed of the bytes
   * @param size in bytes
   * @return the image
   */
  public static byte[] image(long seed, int size) {
    byte[] image = new byte[size];
    new SplittableRandom(seed).nextBytes(image);
    return image;
  }

  private ServerSocket listen(int wanted) throws IOException {
    ServerSocket socket;
    if (tls == null) {
      socket = new ServerSocket();
    } else {
      socket = tls.getServerSocketFactory().createServerSocket();
      ((javax.net.ssl.SSLServerSocket) socket).setNeedClientAuth(wantClientCertificate);
    }
    socket.setReuseAddress(true);
    for (int tries = 0; ; tries++) {
      try {
        socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), wanted), 256);
        return socket;
      } catch (IOException e) {
        // A listener that was just closed may hold the port until its thread has noticed.
        if (wanted == 0 || tries == 200) {
          throw e;
        }
        java.util.concurrent.locks.LockSupport.parkNanos(10_000_000);
      }
    }
  }

  private void accept() {
    ServerSocket on = listener;
    start(
        "accept",
        () -> {
          while (true) {
            Socket socket;
            try {
              socket = on.accept();
            } catch (IOException e) {
              return;
            }
            int number = accepted.incrementAndGet();
            open.add(socket);
            if (closed || on.isClosed()) {
              quietly(socket);
            }
            start("connection-" + number, () -> serve(socket, number));
          }
        });
  }

  private void start(String role, Runnable body) {
    Thread thread = new Thread(body, "lying-origin-" + port + "-" + role);
    thread.setDaemon(true);
    thread.start();
  }

  private static void quietly(Socket socket) {
    try {
      socket.close();
    } catch (IOException e) {
      // It is gone either way.
    }
  }

  /**
   * Gives the URL of the image.
   *
   * @return an http URL, or https if it speaks TLS
   */
  public URI uri() {
    return uri("/image.raw");
  }

  /**
   * Gives a URL with another path; all paths are the image.
   *
   * @param pathAndQuery beginning with a slash
   * @return the URL
   */
  public URI uri(String pathAndQuery) {
    return URI.create(
        (tls == null ? "http" : "https")
            + "://"
            + (tls == null ? "127.0.0.1" : "localhost")
            + ":"
            + port
            + pathAndQuery);
  }

  /**
   * Queues answers for the next requests, whatever they are.
   *
   * @param answers in order
   */
  public void next(Answer... answers) {
    lock.lock();
    try {
      queue.addAll(List.of(answers));
    } finally {
      lock.unlock();
    }
  }

  /**
   * Answers certain requests in a certain way.
   *
   * @param which the requests
   * @param answer the answer
   */
  public void when(Predicate<Request> which, Answer answer) {
    conditional = answer;
    condition = which;
  }

  /**
   * Answers all requests in the same way.
   *
   * @param answer the answer; {@link Lie#NONE} for an honest one
   */
  public void always(Answer answer) {
    standing = answer;
    chances = List.of();
  }

  /**
   * Sets what a request gets that nothing else applies to.
   *
   * @param answer the answer; an honest one unless set
   */
  public void usually(Answer answer) {
    usual = answer;
  }

  /**
   * Answers at random.
   *
   * @param seed for the choice
   * @param share how many requests of all get one of the answers, 0 to 1; the rest the usual one
   * @param answers what to choose from
   */
  public void random(long seed, double share, List<? extends Answer> answers) {
    lock.lock();
    try {
      random = new SplittableRandom(seed);
      standing = null;
      probability = share;
      chances = List.copyOf(answers);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Puts another image in place, as a rename would.
   *
   * @param bytes the new image
   * @param tag its ETag with quotes
   */
  public void replace(byte[] bytes, String tag) {
    image = bytes;
    etag = tag;
  }

  /**
   * Sets what is sent as validators.
   *
   * @param tag the ETag, or null for none
   * @param modified the Last-Modified date, or null for none
   */
  public void validators(String tag, String modified) {
    etag = tag;
    lastModified = modified;
  }

  /** Goes down: nothing listens, and all connections are closed. */
  public void down() throws IOException {
    listener.close();
    closeConnections();
  }

  /** Comes up again on the same port. */
  public void up() throws IOException {
    listener = listen(port);
    accept();
  }

  /** Stops doing anything, connections stay, as a process that got SIGSTOP. */
  public void pause() {
    paused = true;
  }

  /** Goes on after {@link #pause}. */
  public void resume() {
    lock.lock();
    try {
      paused = false;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Closes all connections; new ones are accepted. */
  public void closeConnections() {
    open.forEach(LyingOrigin::quietly);
  }

  /**
   * Gives all requests since the start.
   *
   * @return a live list in order of arrival
   */
  public List<Request> requests() {
    return requests;
  }

  /** Forgets the requests so far. */
  public void forgetRequests() {
    requests.clear();
  }

  /**
   * Counts the connections that are open now.
   *
   * @return how many
   */
  public int openConnections() {
    return open.size();
  }

  /**
   * Counts the connections ever made.
   *
   * @return how many
   */
  public int connections() {
    return accepted.get();
  }

  @Override
  public void close() throws IOException {
    closed = true;
    listener.close();
    resume();
    closeConnections();
  }

  private void serve(Socket socket, int number) {
    try (socket) {
      socket.setTcpNoDelay(true);
      InputStream in = new BufferedInputStream(socket.getInputStream(), 8192);
      Wire wire = new Wire(socket, socket.getOutputStream());
      while (!wire.ended) {
        Request request = read(in, number);
        if (request == null) {
          return;
        }
        whilePaused();
        requests.add(request);
        choose(request).write(request, wire);
        wire.out.flush();
        answered.incrementAndGet();
      }
    } catch (IOException e) {
      // The client has gone, or this server was told to go.
    } finally {
      open.remove(socket);
    }
  }

  private void whilePaused() {
    lock.lock();
    try {
      while (paused && !closed) {
        changed.awaitUninterruptibly();
      }
    } finally {
      lock.unlock();
    }
  }

  private Answer choose(Request request) {
    lock.lock();
    try {
      Answer queued = queue.poll();
      if (queued != null) {
        return queued;
      } else if (condition.test(request)) {
        return conditional;
      } else if (standing != null) {
        return standing;
      } else if (!chances.isEmpty() && random.nextDouble() < probability) {
        return chances.get(random.nextInt(chances.size()));
      }
      return usual;
    } finally {
      lock.unlock();
    }
  }

  private Request read(InputStream in, int number) throws IOException {
    String line = line(in);
    if (line == null || line.isEmpty()) {
      return null;
    }
    String[] parts = line.split(" ", -1);
    Map<String, String> headers = new TreeMap<>();
    for (String header = line(in); header != null && !header.isEmpty(); header = line(in)) {
      int colon = header.indexOf(':');
      headers.put(
          header.substring(0, colon).toLowerCase(Locale.ROOT), header.substring(colon + 1).trim());
    }
    String range = headers.get("range");
    if (range == null) {
      return new Request(parts[0], parts[1], headers, number, 0, image.length - 1, false);
    }
    String[] bounds = range.substring("bytes=".length()).split("-", -1);
    return new Request(
        parts[0],
        parts[1],
        headers,
        number,
        Long.parseLong(bounds[0]),
        Math.min(Long.parseLong(bounds[1]), image.length - 1),
        true);
  }

  private static String line(InputStream in) throws IOException {
    StringBuilder text = new StringBuilder();
    for (int c = in.read(); c >= 0; c = in.read()) {
      if (c == '\n') {
        return text.toString();
      } else if (c != '\r') {
        text.append((char) c);
      }
    }
    return null;
  }

  /**
   * Answers with the given text and nothing else.
   *
   * @param text head and body as they go on the wire, with CRLF
   * @return the answer
   */
  public static Answer raw(String text) {
    return (request, wire) -> wire.text(text);
  }

  /**
   * Answers with a status and no body.
   *
   * @param status code and reason
   * @param headers whole header lines
   * @return the answer
   */
  public static Answer status(String status, String... headers) {
    return (request, wire) ->
        wire.head("HTTP/1.1 " + status, List.of(headers), "Content-Length: 0");
  }

  /**
   * Redirects.
   *
   * @param status such as 302
   * @param location where to
   * @return the answer
   */
  public static Answer redirect(int status, String location) {
    return status(status + " Redirect", "Location: " + location);
  }

  /** A connection as an answer sees it. */
  public final class Wire {
    private final Socket socket;
    private final OutputStream out;
    private boolean ended;

    private Wire(Socket socket, OutputStream out) {
      this.socket = socket;
      this.out = out;
    }

    /** Gives the image. */
    public byte[] image() {
      return image;
    }

    /** Writes text as it is. */
    public void text(String text) throws IOException {
      out.write(text.getBytes(StandardCharsets.ISO_8859_1));
    }

    /** Writes a head: status line, the given lines, the validators. */
    public void head(String statusLine, List<String> lines, String... more) throws IOException {
      StringBuilder head = new StringBuilder(statusLine).append("\r\n");
      List<String> all = new ArrayList<>(lines);
      all.addAll(List.of(more));
      all.forEach(line -> head.append(line).append("\r\n"));
      text(head.append("\r\n").toString());
    }

    /** Gives the header lines of the validators. */
    public List<String> validators() {
      List<String> lines = new ArrayList<>();
      if (etag != null) {
        lines.add("ETag: " + etag);
      }
      if (lastModified != null) {
        lines.add("Last-Modified: " + lastModified);
      }
      return lines;
    }

    /** Writes bytes of the image. */
    public void bytes(long first, int length) throws IOException {
      out.write(image, (int) first, length);
    }

    /** Sends what was written. */
    public void flush() throws IOException {
      out.flush();
    }

    /** Closes the connection in order. */
    public void end() throws IOException {
      out.flush();
      ended = true;
    }

    /** Closes the connection by a reset. */
    public void reset() throws IOException {
      out.flush();
      ended = true;
      if (tls == null) {
        socket.setSoLinger(true, 0);
      }
      socket.close();
    }

    /** Does nothing for a while, or until this server or the client goes away. */
    public void stall(long millis) throws IOException {
      out.flush();
      long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
      lock.lock();
      try {
        while (!closed && !socket.isClosed() && until - System.nanoTime() > 0) {
          changed.awaitNanos(Math.min(until - System.nanoTime(), 20_000_000));
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } finally {
        lock.unlock();
      }
    }
  }
}
