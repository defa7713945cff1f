/* SPDX-License-Identifier: Apache-2.0 */
/** NBD. */
@NullMarked
package io.uloop.nbd;

import org.jspecify.annotations.NullMarked;
