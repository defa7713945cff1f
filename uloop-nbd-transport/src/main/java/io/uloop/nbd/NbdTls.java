/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import javax.net.ssl.SSLContext;

/**
 * How a server does TLS.
 *
 * @param context keys and whom to trust
 * @param forced whether a client must use it before anything else
 * @param clientCertificates whether a client must show a certificate that the context trusts
 * @since 0.1
 */
public record NbdTls(SSLContext context, boolean forced, boolean clientCertificates) {}
