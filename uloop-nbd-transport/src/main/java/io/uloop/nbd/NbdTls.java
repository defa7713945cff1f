/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertificateParsingException;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;

/**
 * How a server does TLS: versions 1.2 and 1.3, with X.509 certificates.
 *
 * @param context the server's key, and whom to trust
 * @param forced whether a client must use TLS before anything else
 * @param verifyClients whether a client must show a certificate that the context trusts
 * @param clientNames if not empty, the client's certificate must name one of these, as DNS name or,
 *     if it has none, as common name
 * @since 0.1
 */
public record NbdTls(
    SSLContext context, boolean forced, boolean verifyClients, Set<String> clientNames) {

  /** Key of a subject alternative name that is a DNS name; RFC 5280, section 4.2.1.6. */
  private static final int DNS_NAME = 2;

  /**
   * Copies the names.
   *
   * @param context see the record
   * @param forced see the record
   * @param verifyClients see the record
   * @param clientNames see the record
   * @throws IllegalArgumentException if names are given but clients are not verified
   */
  public NbdTls {
    Objects.requireNonNull(context, "context");
    clientNames = Set.copyOf(clientNames);
    if (!verifyClients && !clientNames.isEmpty()) {
      throw new IllegalArgumentException("names of clients mean nothing if nobody verifies them");
    }
  }

  /**
   * Reads keys from a folder, laid out as other NBD servers have it.
   *
   * @param folder holds {@code server-cert.pem} (the chain), {@code server-key.pem} (not encrypted;
   *     PKCS #8, or PKCS #1 for RSA) and, to verify clients, {@code ca-cert.pem}
   * @param forced see the record
   * @param verifyClients see the record
   * @param clientNames see the record
   * @return the settings
   * @throws IOException if a file cannot be read or understood
   */
  public static NbdTls ofFolder(
      Path folder, boolean forced, boolean verifyClients, Set<String> clientNames)
      throws IOException {
    Path authorities = folder.resolve("ca-cert.pem");
    if (verifyClients && !Files.exists(authorities)) {
      throw new IOException("no authority to verify clients with: file=" + authorities);
    }
    try {
      SSLContext context =
          PemFiles.context(
              folder.resolve("server-cert.pem"),
              folder.resolve("server-key.pem"),
              Files.exists(authorities) ? authorities : null);
      return new NbdTls(context, forced, verifyClients, clientNames);
    } catch (GeneralSecurityException e) {
      throw new IOException("keys cannot be used: folder=" + folder + ": " + e.getMessage(), e);
    }
  }

  SSLEngine serverEngine() {
    SSLEngine engine = context.createSSLEngine();
    engine.setUseClientMode(false);
    SSLParameters parameters = engine.getSSLParameters();
    parameters.setProtocols(new String[] {"TLSv1.3", "TLSv1.2"});
    parameters.setNeedClientAuth(verifyClients);
    engine.setSSLParameters(parameters);
    return engine;
  }

  /** Checks the name of a client whose certificate is verified already. */
  void checkClient(SSLSession session) throws IOException {
    if (clientNames.isEmpty()) {
      return;
    }
    Set<String> names = names((X509Certificate) session.getPeerCertificates()[0]);
    names.retainAll(clientNames);
    if (names.isEmpty()) {
      throw new SSLPeerUnverifiedException(
          "the client's certificate names nobody who may connect: " + session.getPeerPrincipal());
    }
  }

  private static Set<String> names(X509Certificate certificate) throws IOException {
    Set<String> names = new HashSet<>();
    try {
      Collection<List<?>> alternatives = certificate.getSubjectAlternativeNames();
      if (alternatives != null) {
        for (List<?> alternative : alternatives) {
          if (alternative.get(0).equals(DNS_NAME)) {
            names.add(String.valueOf(alternative.get(1)));
          }
        }
      }
      if (names.isEmpty()) {
        for (Rdn part : new LdapName(certificate.getSubjectX500Principal().getName()).getRdns()) {
          if (part.getType().equalsIgnoreCase("CN")) {
            names.add(String.valueOf(part.getValue()));
          }
        }
      }
    } catch (CertificateParsingException | InvalidNameException e) {
      throw new IOException("a client's certificate cannot be understood", e);
    }
    return names;
  }
}
