/* SPDX-License-Identifier: Apache-2.0 */
/** The read-through engine. */
@NullMarked
package io.uloop.core;

import org.jspecify.annotations.NullMarked;
