/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** A key and its own certificate, made by the JDK's keytool. */
final class TestKeys {

  private static final char[] PASSWORD = "changeit".toCharArray();
  private final KeyStore store;
  private final Path directory;
  private final String name;

  private TestKeys(KeyStore store, Path directory, String name) {
    this.store = store;
    this.directory = directory;
    this.name = name;
  }

  /** Makes a key whose certificate is for the name localhost. */
  static TestKeys make(Path directory, String name) throws Exception {
    Path file = directory.resolve(name + ".p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "key",
                "-keyalg",
                "EC",
                "-validity",
                "2",
                "-dname",
                "CN=" + name,
                "-ext",
                "san=dns:localhost",
                "-ext",
                "bc=ca:true",
                "-storetype",
                "PKCS12",
                "-storepass",
                new String(PASSWORD),
                "-keystore",
                file.toString())
            .redirectErrorStream(true)
            .redirectOutput(directory.resolve(name + ".log").toFile())
            .start();
    assertThat(keytool.waitFor()).isZero();
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(file)) {
      store.load(in, PASSWORD);
    }
    return new TestKeys(store, directory, name);
  }

  /** Gives a server's context with this key that trusts the holders of another. */
  SSLContext context(TestKeys trusted) throws Exception {
    KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(store, PASSWORD);
    KeyStore trust = KeyStore.getInstance("PKCS12");
    trust.load(null, null);
    trust.setCertificateEntry("other", trusted.store.getCertificate("key"));
    TrustManagerFactory trusts = TrustManagerFactory.getInstance("PKIX");
    trusts.init(trust);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trusts.getTrustManagers(), null);
    return context;
  }

  Path certificate() throws Exception {
    return pem("crt", "CERTIFICATE", store.getCertificate("key").getEncoded());
  }

  Path key() throws Exception {
    Key key = store.getKey("key", PASSWORD);
    return pem("key", "PRIVATE KEY", key.getEncoded());
  }

  private Path pem(String suffix, String label, byte[] der) throws Exception {
    return Files.writeString(
        directory.resolve(name + "." + suffix),
        "-----BEGIN "
            + label
            + "-----\n"
            + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der)
            + "\n-----END "
            + label
            + "-----\n");
  }
}
