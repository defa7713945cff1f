/* SPDX-License-Identifier: Apache-2.0 */
/** JMH benchmarks of uloop; never published. */
@org.jspecify.annotations.NullMarked
package io.uloop.benchmarks;
