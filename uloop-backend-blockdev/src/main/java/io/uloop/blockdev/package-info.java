/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Image files and raw block devices as sources.
 *
 * <h2>Where to start</h2>
 *
 * {@link io.uloop.blockdev.FileBlockSource} is the source, {@link
 * io.uloop.blockdev.FileBlockSourceProvider} opens it for {@code file:} and {@code dev:} URIs.
 *
 * <h2>The way of a read</h2>
 *
 * A read goes to one {@link java.nio.channels.FileChannel} with positional reads. A channel closes
 * when a thread inside it is interrupted; the next reader opens it again, after checking that the
 * file is still the same one, so an interrupt ends one read and no more. What was read is handed
 * over only after a look at the file's inode, size and modification time has shown that it is still
 * of the generation that {@link io.uloop.BlockSource#identity} names.
 *
 * <h2>Guarantees</h2>
 *
 * Bytes of another generation are not handed over, as far as modification times can tell (a file
 * system may keep them to a few milliseconds). A source opened for writing changes its own
 * modification time, so there only inode and size are watched. A block device has no modification
 * time of its content; there, only shrinking is noticed.
 *
 * <h2>Native calls</h2>
 *
 * The JDK reads and writes; JNA is used for the rest: the size of a block device (ioctl), holes
 * (lseek), punching and zeroing (fallocate). A file without any of these needs never loads JNA.
 *
 * <h2>Threads and locks</h2>
 *
 * No threads of its own. One lock in the channel's owner guards which channel is current; one
 * read-write lock in the native file's owner keeps its number from being closed while in use.
 */
@NullMarked
package io.uloop.blockdev;

import org.jspecify.annotations.NullMarked;
