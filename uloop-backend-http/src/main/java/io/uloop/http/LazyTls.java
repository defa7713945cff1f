/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import org.apache.hc.client5.http.ssl.DefaultClientTlsStrategy;
import org.apache.hc.client5.http.ssl.HostnameVerificationPolicy;
import org.apache.hc.client5.http.ssl.NoopHostnameVerifier;
import org.apache.hc.client5.http.ssl.TlsSocketStrategy;
import org.apache.hc.core5.http.protocol.HttpContext;
import org.jspecify.annotations.Nullable;

/**
 * Begins TLS; loads trust and keys with the first connection that needs them, not before.
 *
 * <p><b>Threads:</b> any; the first one loads, the others wait for it. Lock: this.
 */
final class LazyTls implements TlsSocketStrategy {

  /**
   * Whom to trust and what to show.
   *
   * @param caFile PEM certificates trusted in place of the JDK's; null for the JDK's
   * @param certificateFile PEM certificate of the client, its chain after it; null for none
   * @param keyFile PEM key of that certificate; null if it is in the same file
   * @param insecure whether any certificate of any host will do
   */
  record Settings(
      @Nullable Path caFile,
      @Nullable Path certificateFile,
      @Nullable Path keyFile,
      boolean insecure) {}

  private static final char[] NO_PASSWORD = {};
  private final Settings settings;
  private @Nullable TlsSocketStrategy loaded;

  LazyTls(Settings settings) {
    this.settings = settings;
  }

  @Override
  public SSLSocket upgrade(
      Socket socket, String target, int port, @Nullable Object attachment, HttpContext context)
      throws IOException {
    return loaded().upgrade(socket, target, port, attachment, context);
  }

  /** Loads the files, so that a bad one is said at open and not at the first connection. */
  synchronized TlsSocketStrategy loaded() throws IOException {
    TlsSocketStrategy strategy = loaded;
    if (strategy == null) {
      try {
        strategy = load();
      } catch (GeneralSecurityException e) {
        throw new IOException(String.valueOf(e.getMessage()), e);
      }
      loaded = strategy;
    }
    return strategy;
  }

  private TlsSocketStrategy load() throws IOException, GeneralSecurityException {
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys(), trust(), null);
    return settings.insecure()
        ? new DefaultClientTlsStrategy(
            context, HostnameVerificationPolicy.CLIENT, NoopHostnameVerifier.INSTANCE)
        : new DefaultClientTlsStrategy(context, HostnameVerificationPolicy.BUILTIN, null);
  }

  private TrustManager @Nullable [] trust() throws IOException, GeneralSecurityException {
    if (settings.insecure()) {
      return new TrustManager[] {new TrustAnybody()};
    }
    if (settings.caFile() == null) {
      return null;
    }
    KeyStore store = emptyStore();
    int number = 0;
    for (Certificate certificate : certificates(settings.caFile())) {
      store.setCertificateEntry("ca-" + number++, certificate);
    }
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return factory.getTrustManagers();
  }

  private KeyManager @Nullable [] keys() throws IOException, GeneralSecurityException {
    Path file = settings.certificateFile();
    if (file == null) {
      return null;
    }
    Certificate[] chain = certificates(file).toArray(Certificate[]::new);
    PrivateKey key =
        key(
            settings.keyFile() != null ? settings.keyFile() : file,
            chain[0].getPublicKey().getAlgorithm());
    KeyStore store = emptyStore();
    store.setKeyEntry("client", key, NO_PASSWORD, chain);
    KeyManagerFactory factory =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    factory.init(store, NO_PASSWORD);
    return factory.getKeyManagers();
  }

  private static KeyStore emptyStore() throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, null);
    return store;
  }

  private static Collection<? extends Certificate> certificates(Path file)
      throws IOException, GeneralSecurityException {
    StringBuilder pem = new StringBuilder();
    boolean inside = false;
    // The factory refuses anything between certificates, such as a key in the same file.
    for (String line : Files.readAllLines(file)) {
      inside |= line.startsWith("-----BEGIN CERTIFICATE-----");
      if (inside) {
        pem.append(line).append('\n');
      }
      inside &= !line.startsWith("-----END CERTIFICATE-----");
    }
    if (pem.length() == 0) {
      throw new IOException("no PEM certificate in " + file);
    }
    try (InputStream in =
        new java.io.ByteArrayInputStream(
            pem.toString().getBytes(java.nio.charset.StandardCharsets.US_ASCII))) {
      return CertificateFactory.getInstance("X.509").generateCertificates(in);
    }
  }

  private static PrivateKey key(Path file, String algorithm)
      throws IOException, GeneralSecurityException {
    String pem = Files.readString(file);
    String begin = "-----BEGIN PRIVATE KEY-----";
    int from = pem.indexOf(begin);
    int to = pem.indexOf("-----END PRIVATE KEY-----");
    if (from < 0 || to < from) {
      throw new IOException(
          "no unencrypted PKCS #8 key in " + file + "; openssl pkcs8 -topk8 -nodes makes one");
    }
    byte[] der = Base64.getMimeDecoder().decode(pem.substring(from + begin.length(), to));
    return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(der));
  }

  /** Trusts any certificate; extended, so that the JDK adds no check of its own. */
  private static final class TrustAnybody extends X509ExtendedTrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }
}
