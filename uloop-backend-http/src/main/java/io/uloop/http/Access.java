/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.message.BasicHeader;
import org.jspecify.annotations.Nullable;

/**
 * What one origin is shown so that it gives the image: credentials and headers of the user.
 *
 * <p>All of it goes to that origin only (scheme, host and port), never to where a redirect leads.
 *
 * <p><b>Threads:</b> any. The lock makes renewals come one at a time; a caller that waited for
 * another's renewal finds it done.
 */
final class Access {

  private static final System.Logger LOG = System.getLogger("io.uloop.http");

  private static final Place.Signer UNSIGNED = (method, url, until) -> List.of();

  private final HttpUrl origin;
  private final Map<String, String> headers;
  private final CredentialSource source;
  private final @Nullable S3Signer signer;
  private final ReentrantLock lock = new ReentrantLock();
  private volatile State state;

  /** The credentials, if any, and how often they were renewed. */
  private record State(@Nullable HttpCredentials credentials, int renewals) {}

  /**
   * Asks for the credentials.
   *
   * @throws IOException if they cannot be had
   */
  Access(
      HttpUrl origin,
      Map<String, String> headers,
      CredentialSource source,
      @Nullable S3Signer signer)
      throws IOException {
    this.signer = signer;
    this.origin = origin;
    this.headers = headers;
    this.source = source;
    this.state = new State(source.credentials(false).orElse(null), 0);
  }

  /** Gives the headers for a request to a URL; none if it is of another origin. */
  List<Header> headersFor(HttpUrl url) {
    List<Header> list = new ArrayList<>();
    if (url.sameOrigin(origin)) {
      headers.forEach((name, value) -> list.add(new BasicHeader(name, value)));
      HttpCredentials credentials = state.credentials();
      if (credentials != null) {
        list.add(new BasicHeader("Authorization", credentials.authorization(), true));
      }
    }
    return list;
  }

  /** Gives what signs requests to a URL. */
  Place.Signer signerFor(HttpUrl url) {
    S3Signer own = signer;
    return own != null && url.sameOrigin(origin) ? own : UNSIGNED;
  }

  /** Counts the renewals so far; what {@link #renew} wants to know. */
  int renewals() {
    S3Signer own = signer;
    return own != null ? own.renewals() : state.renewals();
  }

  /**
   * Asks for new credentials after the server refused those of renewal {@code seen}.
   *
   * @param deadline until when to wait for the keys of S3, or for another's renewal, on the clock
   *     of System.nanoTime
   * @return whether there are others now
   */
  boolean renew(int seen, long deadline) {
    try {
      S3Signer own = signer;
      return own != null ? own.renew(seen, deadline) : ask(seen, deadline);
    } catch (IOException e) {
      LOG.log(
          System.Logger.Level.WARNING,
          () -> origin.shown() + ": no new credentials: " + e.getMessage());
      return false;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  private boolean ask(int seen, long deadline) throws IOException, InterruptedException {
    if (!lock.tryLock(deadline - System.nanoTime(), TimeUnit.NANOSECONDS)) {
      throw new SourceUnavailableException("another read still asks for them", null);
    }
    try {
      State now = state;
      if (now.renewals() != seen) {
        return true;
      }
      Optional<HttpCredentials> renewed = source.credentials(true);
      if (renewed.isEmpty() || Objects.equals(renewed.get(), now.credentials())) {
        return false;
      }
      state = new State(renewed.get(), seen + 1);
      return true;
    } finally {
      lock.unlock();
    }
  }
}
