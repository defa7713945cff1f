/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.benchmarks;

import io.uloop.BlockSource;
import io.uloop.BlockSources;
import io.uloop.SourceOptions;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What one fetch over HTTP costs, the origin's part included, which answers from memory at once.
 *
 * <p>Decides how large a fetch must be for the request's fixed cost not to matter.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class HttpFetchBenchmark {

  private static final long SIZE = 1L << 30;
  private static final Pattern RANGE = Pattern.compile("(?i)range: bytes=(\\d+)-(\\d+)");

  /** Bytes per fetch. */
  @Param({"4096", "65536", "1048576"})
  public int length;

  private ServerSocket listener;
  private BlockSource source;
  private ByteBuffer dst;
  private long next;

  /** Starts the origin and opens the source. */
  @Setup
  public void open() throws IOException {
    listener = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    Thread acceptor = new Thread(this::accept, "origin");
    acceptor.setDaemon(true);
    acceptor.start();
    source =
        BlockSources.installed()
            .open(
                "http://127.0.0.1:" + listener.getLocalPort() + "/image", SourceOptions.defaults());
    dst = ByteBuffer.allocateDirect(length);
  }

  /** Ends both. */
  @TearDown
  public void close() throws IOException {
    source.close();
    listener.close();
  }

  private void accept() {
    while (!listener.isClosed()) {
      try {
        Socket socket = listener.accept();
        Thread server = new Thread(() -> serve(socket), "origin-connection");
        server.setDaemon(true);
        server.start();
      } catch (IOException e) {
        return; // closed
      }
    }
  }

  private static void serve(Socket open) {
    try (Socket socket = open) {
      socket.setTcpNoDelay(true);
      BufferedReader in =
          new BufferedReader(
              new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII));
      OutputStream out = socket.getOutputStream();
      byte[] body = new byte[1 << 20];
      for (String line; (line = in.readLine()) != null; ) {
        boolean head = line.startsWith("HEAD");
        long from = 0;
        long to = SIZE - 1;
        boolean part = false;
        for (; line != null && !line.isEmpty(); line = in.readLine()) {
          Matcher range = RANGE.matcher(line);
          if (range.matches()) {
            part = true;
            from = Long.parseLong(range.group(1));
            to = Math.min(to, Long.parseLong(range.group(2)));
          }
        }
        String answer =
            (part ? "HTTP/1.1 206 Partial Content\r\n" : "HTTP/1.1 200 OK\r\n")
                + "Accept-Ranges: bytes\r\nETag: \"1\"\r\nContent-Length: "
                + (to - from + 1)
                + (part ? "\r\nContent-Range: bytes " + from + "-" + to + "/" + SIZE : "")
                + "\r\n\r\n";
        out.write(answer.getBytes(StandardCharsets.US_ASCII));
        for (long left = head ? 0 : to - from + 1; left > 0; ) {
          int n = (int) Math.min(body.length, left);
          out.write(body, 0, n);
          left -= n;
        }
        out.flush();
      }
    } catch (IOException e) {
      return; // the client is gone
    }
  }

  /** One fetch after the other, on one connection. */
  @Benchmark
  public ByteBuffer fetch() throws IOException {
    next = (next + length * 7L) % (SIZE - length);
    source.read(next, dst.clear());
    return dst;
  }
}
