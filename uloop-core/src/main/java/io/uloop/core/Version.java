/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

/** The version of this library, as its jar says. */
final class Version {

  private Version() {}

  static String text() {
    String version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "(built from source)" : version;
  }
}
