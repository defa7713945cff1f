/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.InvalidKeySpecException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import org.jspecify.annotations.Nullable;

/** Keys and certificates as files of text; RFC 7468. */
final class PemFiles {

  private static final Pattern KEY =
      Pattern.compile("-----BEGIN (RSA )?PRIVATE KEY-----([^-]+)-----END");

  /** What precedes a PKCS #1 key to make it PKCS #8: version 0 and the name of RSA; RFC 5208. */
  private static final byte[] RSA_HEADER = {
    2, 1, 0, 48, 13, 6, 9, 42, (byte) 134, 72, (byte) 134, (byte) 247, 13, 1, 1, 1, 5, 0
  };

  private static final char[] NO_PASSWORD = {};

  private PemFiles() {}

  /**
   * Makes a context.
   *
   * @param authorities whom to trust, null for nobody
   */
  static SSLContext context(
      @Nullable Path certificates, @Nullable Path key, @Nullable Path authorities)
      throws IOException, GeneralSecurityException {
    KeyManager[] own = {};
    if (certificates != null && key != null) {
      KeyStore keys = empty();
      keys.setKeyEntry(
          "own", key(key), NO_PASSWORD, certificates(certificates).toArray(new Certificate[0]));
      KeyManagerFactory managers =
          KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
      managers.init(keys, NO_PASSWORD);
      own = managers.getKeyManagers();
    }
    KeyStore trusted = empty();
    if (authorities != null) {
      int number = 0;
      for (Certificate authority : certificates(authorities)) {
        trusted.setCertificateEntry("authority" + number++, authority);
      }
    }
    TrustManager[] trust = {};
    if (authorities != null) {
      TrustManagerFactory managers =
          TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      managers.init(trusted);
      trust = managers.getTrustManagers();
      for (int i = 0; i < trust.length; i++) {
        if (trust[i] instanceof X509ExtendedTrustManager named) {
          trust[i] = new UnnamedAuthorities(named);
        }
      }
    }
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(own, trust, null);
    return context;
  }

  private static KeyStore empty() throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    store.load(null, NO_PASSWORD);
    return store;
  }

  private static Collection<? extends Certificate> certificates(Path file)
      throws IOException, GeneralSecurityException {
    try (InputStream in = Files.newInputStream(file)) {
      return CertificateFactory.getInstance("X.509").generateCertificates(in);
    }
  }

  private static PrivateKey key(Path file) throws IOException, GeneralSecurityException {
    Matcher found = KEY.matcher(Files.readString(file, StandardCharsets.US_ASCII));
    if (!found.find()) {
      throw new IOException("no private key that is not encrypted: file=" + file);
    }
    byte[] bytes = Base64.getMimeDecoder().decode(found.group(2));
    if (found.group(1) != null) {
      bytes = wrapRsa(bytes);
    }
    for (String algorithm : new String[] {"RSA", "EC", "EdDSA"}) {
      try {
        return KeyFactory.getInstance(algorithm).generatePrivate(new PKCS8EncodedKeySpec(bytes));
      } catch (InvalidKeySpecException e) {
        // Not of this kind; perhaps of the next.
      }
    }
    throw new IOException("a private key of an unknown kind: file=" + file);
  }

  private static byte[] wrapRsa(byte[] key) {
    ByteArrayOutputStream content = new ByteArrayOutputStream();
    content.writeBytes(RSA_HEADER);
    der(content, 4, key);
    ByteArrayOutputStream whole = new ByteArrayOutputStream();
    der(whole, 48, content.toByteArray());
    return whole.toByteArray();
  }

  /** Writes tag, length and content; X.690, section 8.1. */
  private static void der(ByteArrayOutputStream out, int tag, byte[] content) {
    out.write(tag);
    if (content.length < 128) {
      out.write(content.length);
    } else if (content.length < 256) {
      out.write(0x81);
      out.write(content.length);
    } else {
      out.write(0x82);
      out.write(content.length >> 8);
      out.write(content.length);
    }
    out.writeBytes(content);
  }
}
