/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.http.AttemptFailure.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpEntity;
import org.jspecify.annotations.Nullable;

/**
 * One request's answer, its head read and its body not.
 *
 * <p><b>Ownership:</b> whoever gets one ends it, with {@link #reuse} or {@link #close}; both may be
 * called again.
 */
final class Exchange implements AutoCloseable {

  // A body of this size is read and thrown away to keep the connection; a longer one costs more
  // than a new connection does.
  private static final int MOST_DISCARDED_BYTES = 16 * 1024;

  private static final long DISCARD_MILLIS = 1000;

  private static final int MOST_ERROR_BYTES = 4 * 1024;
  private static final Pattern ERROR_CODE = Pattern.compile("<Code>(\\w{1,64})</Code>");

  private final Connections connections;
  private final Connections.Lease lease;
  private final ClassicHttpResponse response;
  private final boolean keepAlive;
  // How much of the body errorCode has read.
  private int taken;

  Exchange(
      Connections connections,
      Connections.Lease lease,
      ClassicHttpResponse response,
      boolean keepAlive) {
    this.connections = connections;
    this.lease = lease;
    this.response = response;
    this.keepAlive = keepAlive;
  }

  int status() {
    return response.getCode();
  }

  /** Gives status and reason as they may be shown. */
  String statusLine() {
    String reason = response.getReasonPhrase();
    return reason == null || reason.isEmpty()
        ? Integer.toString(status())
        : status() + " " + Text.printable(reason);
  }

  /** Gives a header's value; null if it is not there. */
  @Nullable String header(String name) {
    Header header = response.getFirstHeader(name);
    String value = header == null ? null : header.getValue();
    return value == null ? null : value.trim();
  }

  /** Gives the body's length as the head says it; -1 if it does not. */
  long contentLength() {
    HttpEntity entity = response.getEntity();
    return entity == null ? 0 : entity.getContentLength();
  }

  /**
   * Whether {@link #read} takes a direct buffer, and fills it without a copy: the body is what
   * comes from the socket, up to a length that is known.
   */
  boolean isDirect() {
    // HttpClient's count of what is left in its buffer is an int of the body's length.
    return lease.plain() != null && contentLength() >= 0 && contentLength() <= Integer.MAX_VALUE;
  }

  /**
   * Reads on in the body, past HttpClient if that has nothing of it.
   *
   * @param into where to, from its position on; not a direct one unless {@link #isDirect}
   * @return how many bytes came; -1 at the end
   * @throws java.net.SocketTimeoutException if none came within the socket's timeout
   * @throws IOException if the body breaks off
   */
  int read(ByteBuffer into) throws IOException, AttemptFailure {
    InputStream body = body();
    ChannelSocket socket = isDirect() && body.available() == 0 ? lease.plain() : null;
    if (socket != null) {
      return socket.receive(into);
    }
    if (into.hasArray()) {
      int n = body.read(into.array(), into.arrayOffset() + into.position(), into.remaining());
      into.position(into.position() + Math.max(0, n));
      return n;
    }
    byte[] some = new byte[Math.min(into.remaining(), Connections.BUFFER_BYTES)];
    int n = body.read(some);
    into.put(some, 0, Math.max(0, n));
    return n;
  }

  /** Gives the body, framing removed. */
  InputStream body() throws AttemptFailure {
    HttpEntity entity = response.getEntity();
    if (entity == null) {
      return InputStream.nullInputStream();
    }
    try {
      return entity.getContent();
    } catch (IOException e) {
      throw new AttemptFailure(Kind.BROKEN, Text.ofFailure(e), e);
    }
  }

  /**
   * Gives the code of an error whose body is XML, as S3 sends it: what "403 Forbidden" is about.
   *
   * @return the code, or nothing if there is none
   */
  Optional<String> errorCode() {
    String type = header("Content-Type");
    if (type == null || !type.contains("xml") || contentLength() > MOST_ERROR_BYTES) {
      return Optional.empty();
    }
    long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(DISCARD_MILLIS);
    byte[] bytes = new byte[MOST_ERROR_BYTES];
    try {
      socketTimeout(DISCARD_MILLIS);
      InputStream body = body();
      for (int n = 0; n >= 0 && taken < bytes.length && until - System.nanoTime() > 0; ) {
        n = body.read(bytes, taken, bytes.length - taken);
        taken += Math.max(0, n);
      }
    } catch (IOException | AttemptFailure e) {
      // What came may do; the connection is closed when its end is met again.
    }
    Matcher code = ERROR_CODE.matcher(new String(bytes, 0, taken, StandardCharsets.UTF_8));
    return code.find() ? Optional.of(code.group(1)) : Optional.empty();
  }

  /** Limits how long one read of the body may wait. */
  void socketTimeout(long millis) {
    lease.socketTimeout(millis);
  }

  /**
   * Ends the exchange after the whole range was read, and keeps the connection if that is possible.
   */
  void reuse() {
    if (keepAlive) {
      connections.giveBack(lease, header("Keep-Alive"));
    } else {
      close();
    }
  }

  /** Ends the exchange whose body nobody wants, and keeps the connection if that is cheap. */
  void discard() {
    long length = contentLength();
    discard(length < 0 ? length : length - taken, DISCARD_MILLIS);
  }

  /**
   * Ends the exchange of whose body so many bytes, which nobody wants, are left; keeps the
   * connection if they are few and come within the time.
   *
   * @param left how many; -1 if that is not known
   */
  void discard(long left, long millis) {
    if (!keepAlive || left < 0 || left > MOST_DISCARDED_BYTES) {
      close();
      return;
    }
    if (left == 0) {
      reuse();
      return;
    }
    long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
    try {
      socketTimeout(millis);
      InputStream body = body();
      byte[] scrap = new byte[(int) Math.min(left, 4096)];
      long missing = left;
      while (missing > 0 && until - System.nanoTime() > 0) {
        int n = body.read(scrap, 0, (int) Math.min(missing, scrap.length));
        missing = n < 0 ? Long.MAX_VALUE : missing - n;
      }
      if (missing == 0) {
        reuse();
      } else {
        close();
      }
    } catch (IOException | AttemptFailure e) {
      // The answer's head was all that mattered.
      close();
    }
  }

  /** Ends the exchange and its connection. */
  @Override
  public void close() {
    connections.drop(lease);
  }
}
