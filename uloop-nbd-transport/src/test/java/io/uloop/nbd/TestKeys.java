/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/** Keys of an authority, a server and two clients, made by the JDK's keytool, as PEM files. */
final class TestKeys {

  private static final String PASSWORD = "password";

  private final Path folder;

  private TestKeys(Path folder) {
    this.folder = folder;
  }

  /** Makes folders {@code server}, {@code alice} and {@code mallory} (of another authority). */
  static TestKeys make(Path folder) throws Exception {
    TestKeys keys = new TestKeys(folder);
    for (String authority : List.of("ca", "other-ca")) {
      keys.tool(authority, "-genkeypair", "-dname", "CN=" + authority, "-ext", "bc:c");
    }
    keys.signed("server", "ca", "server", "san=dns:localhost,ip:127.0.0.1");
    keys.signed("alice", "ca", "client", "san=dns:alice.example");
    keys.signed("mallory", "other-ca", "client", "san=dns:alice.example");
    return keys;
  }

  Path folder(String name) {
    return folder.resolve(name);
  }

  private void signed(String name, String authority, String role, String extension)
      throws Exception {
    tool(name, "-genkeypair", "-dname", "CN=" + name);
    Path request = folder.resolve(name + ".csr");
    Path certificate = folder.resolve(name + ".crt");
    tool(name, "-certreq", "-file", request.toString());
    tool(
        authority,
        "-gencert",
        "-infile",
        request.toString(),
        "-outfile",
        certificate.toString(),
        "-rfc",
        "-ext",
        extension);
    Path own = Files.createDirectories(folder.resolve(name));
    Files.copy(certificate, own.resolve(role + "-cert.pem"));
    pem(
        own.resolve(role + "-key.pem"),
        "PRIVATE KEY",
        store(name).getKey(name, chars()).getEncoded());
    Certificate root = store(role.equals("server") ? authority : "ca").getCertificate("ca");
    pem(own.resolve("ca-cert.pem"), "CERTIFICATE", root.getEncoded());
  }

  private static void pem(Path file, String kind, byte[] bytes) throws IOException {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(bytes);
    Files.writeString(
        file, "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n");
  }

  private static char[] chars() {
    return PASSWORD.toCharArray();
  }

  private KeyStore store(String name) throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(folder.resolve(name + ".p12"))) {
      store.load(in, chars());
    }
    return store;
  }

  private void tool(String name, String command, String... more) throws Exception {
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    line.add(command);
    line.addAll(List.of("-keystore", folder.resolve(name + ".p12").toString()));
    line.addAll(List.of("-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", name));
    if (command.equals("-genkeypair")) {
      line.addAll(List.of("-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650"));
    } else if (command.equals("-gencert")) {
      line.addAll(List.of("-validity", "3650"));
    }
    line.addAll(List.of(more));
    Process process = new ProcessBuilder(line).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes());
    if (process.waitFor() != 0) {
      throw new IOException(line + ": " + said);
    }
  }
}
