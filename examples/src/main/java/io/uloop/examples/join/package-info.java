/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A source of another scheme, in a jar of its own: {@code join:/path/image} reads the files {@code
 * /path/image.000}, {@code /path/image.001} and so on as one image, as {@code split -d -a 3} leaves
 * them.
 *
 * <p>Built as {@code uloop-plugin-join.jar}. Put it on the class path, or into the directory that a
 * launcher's {@code --plugins} names.
 */
@NullMarked
package io.uloop.examples.join;

import org.jspecify.annotations.NullMarked;
