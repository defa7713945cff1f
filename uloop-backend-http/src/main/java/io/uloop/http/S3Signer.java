/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.message.BasicHeader;
import org.jspecify.annotations.Nullable;

/**
 * Signs requests without a body for S3.
 *
 * <p><b>Source:</b> "Signature Version 4: Signature Calculations for the Authorization Header:
 * Transferring Payload in a Single Chunk", Amazon S3 API Reference.
 *
 * <p>The range is not among the signed headers, so one signature serves all reads of a minute; the
 * server takes it for 15.
 *
 * <p><b>Threads:</b> any. The cached signature is replaced as a whole; two threads that make one at
 * a time both have a right one. Credentials are read again on a thread of its own, by one at a
 * time, which alone writes the state: the source may take long, and no read waits for it past its
 * own deadline. {@link #lock} guards {@link #underWay}; under it nothing blocks.
 */
final class S3Signer implements Place.Signer {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
  private static final Duration REUSED = Duration.ofMinutes(1);
  // The services have new keys at least 5 minutes before the old ones end.
  private static final Duration RENEWED_BEFORE = Duration.ofMinutes(5);
  private static final Duration PATIENCE = Duration.ofSeconds(2);
  private static final Duration RENEWED_AT_MOST_EACH = Duration.ofSeconds(30);
  // SHA-256 of nothing.
  static final String EMPTY_BODY =
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

  private final String region;
  private final S3Credentials.Source source;
  private final InstantSource clock;
  private final long patienceNanos;
  private final ReentrantLock lock = new ReentrantLock();
  private @Nullable Renewal underWay;
  private volatile State state;
  private volatile @Nullable Signed last;

  /** The credentials, how often they were renewed, when they may be read again before their end. */
  private record State(S3Credentials credentials, int renewals, Instant notBefore) {}

  /** A signature and what it is for. */
  private record Signed(
      String method, HttpUrl url, S3Credentials by, Instant at, List<Header> headers) {}

  /**
   * Reads the credentials.
   *
   * @throws IOException if there are none
   */
  S3Signer(String region, S3Credentials.Source source, InstantSource clock) throws IOException {
    this(region, source, clock, PATIENCE);
  }

  /**
   * Reads the credentials.
   *
   * @param patience how long a request waits for new ones while it has some
   */
  S3Signer(String region, S3Credentials.Source source, InstantSource clock, Duration patience)
      throws IOException {
    this.patienceNanos = Nanos.of(patience);
    this.region = region;
    this.source = source;
    this.clock = clock;
    this.state = new State(source.read(), 0, Instant.MIN);
  }

  /** Counts how often the credentials have become others. */
  int renewals() {
    return state.renewals();
  }

  /**
   * Reads the credentials again after the server refused those of renewal {@code seen}.
   *
   * @param deadline until when to wait for them, on the clock of System.nanoTime
   * @return whether there are others now
   * @throws IOException if they cannot be read, or not in time
   */
  boolean renew(int seen, long deadline) throws IOException, InterruptedException {
    for (int round = 0; ; round++) {
      Renewal before;
      Renewal renewal;
      lock.lock();
      try {
        if (state.renewals() != seen) {
          return true;
        }
        before = underWay;
        renewal = before != null ? before : begin(clock.instant());
      } finally {
        lock.unlock();
      }
      if (!renewal.await(deadline)) {
        throw new SourceUnavailableException("the keys were not read in time", null);
      }
      if (state.renewals() != seen) {
        return true;
      }
      // One that was under way may have read just what was refused; one that came after it has not.
      if (before == null || round > 0) {
        IOException failure = renewal.failure;
        if (failure != null) {
          throw failure;
        }
        return false;
      }
    }
  }

  /** Reads the credentials, on a thread of its own, for all who wait for it. */
  private final class Renewal implements Runnable {
    private final Instant now;
    private final CountDownLatch done = new CountDownLatch(1);
    private volatile @Nullable IOException failure;

    Renewal(Instant now) {
      this.now = now;
    }

    @Override
    public void run() {
      try {
        read(now);
      } catch (IOException e) {
        failure = e;
      } catch (RuntimeException e) {
        failure = new IOException(e.toString(), e);
      } finally {
        lock.lock();
        try {
          underWay = null;
        } finally {
          lock.unlock();
        }
        done.countDown();
      }
    }

    boolean await(long until) throws InterruptedException {
      return done.await(until - System.nanoTime(), TimeUnit.NANOSECONDS);
    }
  }

  /** Begins to read the credentials; called under the lock, with nothing under way. */
  private Renewal begin(Instant now) {
    Renewal renewal = new Renewal(now);
    Thread thread = new Thread(renewal, "uloop-s3-keys");
    thread.setDaemon(true);
    thread.start();
    underWay = renewal;
    return renewal;
  }

  private boolean read(Instant now) throws IOException {
    State before = state;
    Instant again = now.plus(RENEWED_AT_MOST_EACH);
    // First, so that a source that fails is not asked for each request.
    state = new State(before.credentials(), before.renewals(), again);
    S3Credentials found = source.read();
    boolean changed = !found.equals(before.credentials());
    state = new State(found, before.renewals() + (changed ? 1 : 0), again);
    return changed;
  }

  /**
   * Gives the credentials; has them read again if they end soon. Who begins that waits for it a
   * little; the others, and he after that, go on with what they have.
   */
  private S3Credentials credentials(Instant now, long until) {
    State have = state;
    if (!have.credentials().expiredAt(now.plus(RENEWED_BEFORE)) || now.isBefore(have.notBefore())) {
      return have.credentials();
    }
    Renewal renewal;
    lock.lock();
    try {
      if (underWay != null || !state.equals(have)) {
        return state.credentials();
      }
      renewal = begin(now);
    } finally {
      lock.unlock();
    }
    long start = System.nanoTime();
    try {
      // Half of the time, so that there is some for the request.
      boolean done = renewal.await(Nanos.after(start, patienceNanos, start + (until - start) / 2));
      IOException failure = renewal.failure;
      if (!done || failure != null) {
        LOG.log(
            System.Logger.Level.WARNING,
            () ->
                "no new S3 credentials: "
                    + (failure == null ? "still reading them" : failure.getMessage()));
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // the request will notice
    }
    return state.credentials();
  }

  @Override
  public List<Header> sign(String method, HttpUrl url, long until) {
    Instant now = clock.instant();
    S3Credentials by = credentials(now, until);
    Signed cached = last;
    if (cached == null
        || !cached.method.equals(method)
        || !cached.url.equals(url)
        || !cached.by.equals(by)
        || cached.at.plus(REUSED).isBefore(now)
        || cached.at.isAfter(now)) {
      cached = new Signed(method, url, by, now, headers(method, url, by, now));
      last = cached;
    }
    return cached.headers;
  }

  private List<Header> headers(String method, HttpUrl url, S3Credentials by, Instant now) {
    SortedMap<String, String> signed = new TreeMap<>();
    signed.put("host", url.authority());
    signed.put("x-amz-content-sha256", EMPTY_BODY);
    signed.put("x-amz-date", TIME.format(now));
    by.sessionToken().ifPresent(token -> signed.put("x-amz-security-token", token));
    String authorization = authorization(by, region, method, url.target(), signed);
    List<Header> headers = new ArrayList<>();
    signed.forEach(
        (name, value) -> {
          if (!name.equals("host")) {
            headers.add(new BasicHeader(name, value));
          }
        });
    headers.add(new BasicHeader("Authorization", authorization, true));
    return List.copyOf(headers);
  }

  /**
   * Gives the value of the Authorization header.
   *
   * @param target path and query as they go on the wire
   * @param headers the headers to sign, by names in lower case, among them x-amz-date
   */
  static String authorization(
      S3Credentials by,
      String region,
      String method,
      String target,
      SortedMap<String, String> headers) {
    int question = target.indexOf('?');
    String path = question < 0 ? target : target.substring(0, question);
    String names = String.join(";", headers.keySet());
    String canonical =
        method
            + "\n"
            + path
            + "\n"
            + (question < 0 ? "" : canonicalQuery(target.substring(question + 1)))
            + "\n"
            + headers.entrySet().stream()
                .map(e -> e.getKey() + ":" + e.getValue().trim() + "\n")
                .collect(Collectors.joining())
            + "\n"
            + names
            + "\n"
            + headers.getOrDefault("x-amz-content-sha256", EMPTY_BODY);
    String time = headers.getOrDefault("x-amz-date", "");
    String date = time.substring(0, 8);
    String scope = date + "/" + region + "/s3/aws4_request";
    String toSign = "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + sha256(canonical);
    byte[] key = ("AWS4" + by.secretKey()).getBytes(StandardCharsets.UTF_8);
    for (String part : List.of(date, region, "s3", "aws4_request")) {
      key = hmac(key, part);
    }
    return "AWS4-HMAC-SHA256 Credential="
        + by.accessKey()
        + "/"
        + scope
        + ",SignedHeaders="
        + names
        + ",Signature="
        + HexFormat.of().formatHex(hmac(key, toSign));
  }

  /** Gives the query as it is signed: encoded, in order, with a value for each name. */
  static String canonicalQuery(String query) {
    // Not the joined text: "=" comes after characters that a name may have.
    return Stream.of(query.split("&", -1))
        .filter(parameter -> !parameter.isEmpty())
        .map(parameter -> S3Place.encodeQuery(parameter).split("=", 2))
        .map(pair -> Map.entry(pair[0], pair.length > 1 ? pair[1] : ""))
        .sorted(
            Map.Entry.<String, String>comparingByKey().thenComparing(Map.Entry.comparingByValue()))
        .map(pair -> pair.getKey() + "=" + pair.getValue())
        .collect(Collectors.joining("&"));
  }

  private static String sha256(String text) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash);
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every JDK has SHA-256", e);
    }
  }

  private static byte[] hmac(byte[] key, String text) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    } catch (GeneralSecurityException e) {
      throw new AssertionError("every JDK has HmacSHA256", e);
    }
  }
}
