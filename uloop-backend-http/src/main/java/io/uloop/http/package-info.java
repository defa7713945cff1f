/* SPDX-License-Identifier: Apache-2.0 */
/** The source behind http and https URLs. */
@NullMarked
package io.uloop.http;

import org.jspecify.annotations.NullMarked;
