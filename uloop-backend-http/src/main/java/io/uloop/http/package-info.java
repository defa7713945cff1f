/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The source behind {@code http:}, {@code https:} and {@code s3:} URLs.
 *
 * <h2>Where to start</h2>
 *
 * {@link io.uloop.http.HttpSourceProvider} opens a URL with string options, {@link
 * io.uloop.http.HttpSourceConfig} is the same for programs, {@link
 * io.uloop.http.HttpBlockSource#open} opens. {@code docs/http-source.md} has the options, the
 * identity rules, what is done with each answer, and when what is tried again.
 *
 * <h2>The way of a read</h2>
 *
 * <pre>
 *   HttpBlockSource.read -> RangeRead: until the range is handed over, or the deadline
 *     Origins.choose       which URL: the first, or a mirror
 *     Circuit.admit        waits while that server is down
 *     Origin.send          to where redirects ended last; follows new ones
 *       Transport.send     a pooled connection, the request, the head of the answer
 *     Answers              judges the head: which bytes to take, or an AttemptFailure
 *     Transfer             body -> pooled buffer -> sink, as it comes
 *       Exchange.read      of a known length and not under TLS: from the ChannelSocket straight
 *                          into a direct buffer, else through HttpClient
 *   after an AttemptFailure: again, from where it stopped, or throw; Retries decides
 * </pre>
 *
 * <p>A read runs on the caller's thread from end to end. {@code Hedge} is the exception: the same
 * request on a second thread, to a mirror, until one head is good.
 *
 * <h2>Who owns what</h2>
 *
 * <ul>
 *   <li>A connection belongs to the {@code Exchange} that runs on it; whoever gets the exchange
 *       ends it. {@code Connections} counts those not given back.
 *   <li>A buffer belongs to the transfer that took it from a {@code BufferPool}; the direct ones
 *       are those of all sources.
 *   <li>{@code Attempt} lets others end a request: the {@code Watchdog} (time, and a close of the
 *       source), {@code RangeRead.cancel} (nobody waits any more), {@code Hedge} (the other was
 *       faster). The connection is closed under its user, but stays his; the last user of a source
 *       that is closed closes the pool.
 * </ul>
 *
 * <h2>Locks</h2>
 *
 * {@code Attempt}, {@code BufferPool}, {@code Hedging}, {@code Connections} (their own monitors),
 * {@code Watchdog.lock}, {@code Circuit.lock}, {@code S3Signer.lock}: leaves, held for a few
 * instructions, never while another is taken, never during I/O (closing a socket aside, which waits
 * until the thread in it is awake). {@code Access.lock} is held while new credentials are asked
 * for, but not for S3 keys; {@code Origins.probing} while a mirror is asked for the first time;
 * under the latter, leaves are taken. Nothing of the caller's runs under a lock but its {@code
 * CredentialSource}.
 *
 * <h2>Guarantees</h2>
 *
 * Bytes handed to a sink come from a body whose head was right: range, length, coding, validator
 * and size. No read outlives its timeout by more than the watchdog's 100 ms, name resolution and
 * the caller's {@code CredentialSource} aside. S3 keys of a service take an open 2 s for each of up
 * to 3 requests, in the worst case and besides its timeout; a read does not wait for new ones
 * longer than its own time. Secrets are in no message, log or identity.
 *
 * <p>Deliberately elsewhere: caching and merging of reads (module {@code io.uloop.core}). From
 * HttpClient only the connection pool and the HTTP/1.1 message layer are used; its client on top
 * would retry, redirect, authenticate and decompress by other rules.
 */
@NullMarked
package io.uloop.http;

import org.jspecify.annotations.NullMarked;
