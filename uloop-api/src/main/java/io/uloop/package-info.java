/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Where bytes come from, what is offered to readers, and how both fail.
 *
 * <h2>Where to start</h2>
 *
 * {@link io.uloop.BlockSource} is the one interface that the author of a source implements; {@link
 * io.uloop.BlockSourceProvider} makes it known by URI scheme and {@link io.uloop.BlockSources}
 * opens it. {@link io.uloop.BlockDevice} is what a reader, or a transport such as the NBD server,
 * uses. {@link io.uloop.UloopException} is the root of everything that the outside world can do
 * wrong.
 *
 * <h2>Words</h2>
 *
 * A <em>source</em> is where the bytes come from, a <em>device</em> what is offered to readers. A
 * <em>block</em> is the unit of presence, a power of two of bytes. A <em>range</em> is half-open,
 * {@code [start, end)}, in bytes, everywhere. A block is <em>present</em> if its right data is held
 * locally.
 *
 * <h2>The way of a read</h2>
 *
 * <ol>
 *   <li>The reader asks a device for a range; the device checks the bounds, once.
 *   <li>What is present is answered on the calling thread ({@link io.uloop.BlockDevice#tryRead}).
 *   <li>What is missing is fetched from the source, each block once however many readers wait; the
 *       source streams it ({@link io.uloop.BlockSource#read(long, long, io.uloop.ReadSink)}) and
 *       each reader is answered as soon as its own bytes are there.
 * </ol>
 *
 * <h2>Guarantees</h2>
 *
 * A device hands out the source's bytes or an error, never anything else. A device checks all
 * bounds before it calls a source, so a source may trust its arguments. Buffers are lent for the
 * call only.
 *
 * <p>Deliberately elsewhere: the cache (module {@code io.uloop.core}), protocols of sources (one
 * module each), transports.
 */
@NullMarked
package io.uloop;

import org.jspecify.annotations.NullMarked;
