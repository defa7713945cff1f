/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The read-through engine: a device over a source, each block fetched once and kept in files.
 *
 * <h2>Where to start</h2>
 *
 * {@link io.uloop.core.CachedDevice} is the device and {@link io.uloop.core.CachePair} names its
 * files. {@link io.uloop.core.LibUloop} is the interface of the original's libuloop on it.
 *
 * <h2>The way of a read</h2>
 *
 * <ol>
 *   <li>{@code CachedDevice} checks the bounds.
 *   <li>{@code HitPath}, on the reader's thread: if all blocks are <em>ready</em> the bytes are
 *       copied from the {@code HotTier} or from a mapping of the cache file ({@code CacheData}). A
 *       block present since an earlier session is verified against its checksum first.
 *   <li>Otherwise {@code MissPath} plans: under the one lock of {@code FetchTable} each missing run
 *       joins the {@code Fetch} that has it or begins one, widened to the fetch unit; the read
 *       becomes a {@code PendingRead}, which is state, not a parked thread.
 *   <li>A worker of {@code Fetcher} takes the fetch and {@code FetchRun} streams it from the
 *       source: whole blocks are stored ({@code BlockStore}: bytes, checksum, bits), and copied to
 *       each reader that waits for them, which is done as soon as its own bytes have come. (One
 *       without a buffer is only told, and takes them from the cache file.)
 *   <li>{@code Committer} makes it durable: data forced, then bitmap pages written, then forced.
 * </ol>
 *
 * {@code ReadAhead} watches all reads and begins background fetches ahead of those that go forward;
 * {@code Evictor} keeps a bounded cache within its limit.
 *
 * <h2>Guarantees</h2>
 *
 * A bit on disk is set only after the block's right data is durable. A block is fetched once
 * however many readers wait. What is present stays readable whatever the source does. A read that
 * the source can answer succeeds whatever the cache volume does. The engine never writes to the
 * source.
 *
 * <p>Not guaranteed: that a block present in memory at a crash is present afterwards (it is fetched
 * again); that the pair is consistent for another process while it is open.
 *
 * <p>Deliberately elsewhere: protocols of sources, transports, command lines. Threads and locks are
 * listed in {@code docs/architecture.md}, the files in {@code docs/cache-format.md}.
 */
@NullMarked
package io.uloop.core;

import org.jspecify.annotations.NullMarked;
