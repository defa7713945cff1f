/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.UserDefinedFileAttributeView;
import org.jspecify.annotations.Nullable;

/**
 * What a file is marked with, in an extended attribute, {@code user.uloop.mark} (xattr(7)).
 *
 * <p>The JDK opens and closes a descriptor of the file for each look, which drops the locks of the
 * process: {@link LocalFile} sees to that.
 */
final class FileMark {

  private static final String NAME = "uloop.mark";

  private FileMark() {}

  /** Gives it; null if there is none, or no room for one. */
  static @Nullable String read(Path path) {
    try {
      UserDefinedFileAttributeView view = attributes(path);
      if (view == null || !view.list().contains(NAME)) {
        return null;
      }
      ByteBuffer value = ByteBuffer.allocate(view.size(NAME));
      view.read(NAME, value);
      return StandardCharsets.US_ASCII.decode(value.flip()).toString();
    } catch (IOException e) {
      return null; // ENOTSUP: tmpfs before Linux 6.6, some network file systems
    }
  }

  /** Sets it; false if there is no room for one. */
  static boolean write(Path path, String wanted) {
    try {
      UserDefinedFileAttributeView view = attributes(path);
      if (view != null) {
        view.write(NAME, StandardCharsets.US_ASCII.encode(wanted));
        return true;
      }
    } catch (IOException e) {
      // as above
    }
    return false;
  }

  private static @Nullable UserDefinedFileAttributeView attributes(Path path) {
    return Files.getFileAttributeView(path, UserDefinedFileAttributeView.class);
  }
}
