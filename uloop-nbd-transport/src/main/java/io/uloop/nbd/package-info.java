/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Offers block devices over NBD, and to the kernel.
 *
 * <h2>Where to start</h2>
 *
 * {@link io.uloop.nbd.NbdServer} serves any {@link io.uloop.BlockDevice} by name; {@link
 * io.uloop.nbd.NbdTransport} is the same for who has a place ({@code unix:/path}) and properties.
 * {@link io.uloop.nbd.KernelTransport} makes a device of the kernel out of it.
 *
 * <h2>The way of a request</h2>
 *
 * <ol>
 *   <li>An event loop waits for its sockets; a connection lives on one loop for life, and nobody
 *       else touches it. One read takes all requests that are there.
 *   <li>The connection is in its handshake ({@code Handshake}) or in transmission ({@code
 *       Transmission}). Both take bytes and put replies into the output queue; neither knows the
 *       socket. The bytes themselves are made by pure functions ({@code RequestHeader}, {@code
 *       OptionData}, {@code ReplyStyle}).
 *   <li>A small READ whose bytes are present is copied straight into the output ({@link
 *       io.uloop.BlockDevice#tryRead}), and the batch goes out with one write; nothing is
 *       allocated. A large one is announced and then transferred past the JVM ({@link
 *       io.uloop.BlockDevice#transferTo}).
 *   <li>What is missing is read into a pooled buffer ({@link io.uloop.BlockDevice#readAsync}); if
 *       it is large, it is fetched without one and then sent as what is present ({@link
 *       io.uloop.BlockDevice#fetchAsync}). What may block (WRITE, FLUSH, TRIM, WRITE_ZEROES,
 *       BLOCK_STATUS, TLS key exchange) goes to a small pool of workers. All come back as a task of
 *       the loop, which answers, in whatever order they come.
 * </ol>
 *
 * <h2>Guarantees</h2>
 *
 * A client can send anything; the answer is the protocol's error, or the end of its connection.
 * Requests are taken off a socket only while the client takes its answers, and within the bounds of
 * {@link io.uloop.nbd.NbdLimits}; a client that does neither holds a bounded amount of memory and
 * blocks nobody. What cannot be allocated costs the connection that asked for it. An idle
 * connection holds no buffer. A flush covers what completed on all connections, since they share
 * the device.
 *
 * <h2>Threads and locks</h2>
 *
 * There is no lock in the server but the one for tasks that come after a loop's end. What crosses
 * threads: the loop's queue of tasks, the memory budget's counter, and counters for humans.
 *
 * <p>What of the protocol is there, and which test proves it, is in {@code docs/nbd-protocol.md}.
 */
@NullMarked
package io.uloop.nbd;

import org.jspecify.annotations.NullMarked;
