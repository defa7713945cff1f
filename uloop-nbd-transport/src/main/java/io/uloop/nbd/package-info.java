/* SPDX-License-Identifier: Apache-2.0 */
/** Offers block devices over NBD, and to the kernel. */
@NullMarked
package io.uloop.nbd;

import org.jspecify.annotations.NullMarked;
