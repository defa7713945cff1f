/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The launchers and small programs that show the library.
 *
 * <p>Launchers: {@link io.uloop.examples.UloHttp} and {@link io.uloop.examples.UloBdev} are one
 * program with two help texts. {@link io.uloop.examples.LaunchCommand} is the command line, {@link
 * io.uloop.examples.Launch} what it asks for: open the device, offer it, stop it.
 *
 * <p>Programs to read: {@link io.uloop.examples.ReadRemoteImage} embeds the library in thirty
 * lines, {@link io.uloop.examples.HttpOnLibUloop} is the original's programming interface, and the
 * package {@code join} is a source of another scheme as a plug-in.
 */
@NullMarked
package io.uloop.examples;

import org.jspecify.annotations.NullMarked;
