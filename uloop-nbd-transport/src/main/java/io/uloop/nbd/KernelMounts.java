/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the table of mounts.
 *
 * <p><b>Source:</b> proc_pid_mountinfo(5).
 */
final class KernelMounts {

  private static final Pattern ESCAPE = Pattern.compile("\\\\([0-7]{3})");

  private KernelMounts() {}

  /**
   * A mount.
   *
   * @param deviceNumber major:minor of what is mounted
   * @param point where
   * @param type the file system
   * @param source what it was mounted from
   */
  record Mount(String deviceNumber, String point, String type, String source) {}

  /** Reads a mountinfo file, in its order: a later mount on the same point hides an earlier one. */
  static List<Mount> read(Path mountinfo) throws IOException {
    List<Mount> mounts = new ArrayList<>();
    for (String line : Files.readAllLines(mountinfo, StandardCharsets.UTF_8)) {
      // id parent major:minor root point options [tags] - type source superoptions
      String[] halves = line.split(" - ", 2);
      String[] left = halves[0].split(" ", -1);
      String[] right = halves.length == 2 ? halves[1].split(" ", -1) : new String[0];
      if (left.length >= 5 && right.length >= 2) {
        mounts.add(new Mount(left[2], unescape(left[4]), right[0], unescape(right[1])));
      }
    }
    return mounts;
  }

  /** Blanks, tabs, line ends and backslashes are written as three octal digits. */
  private static String unescape(String text) {
    return ESCAPE
        .matcher(text)
        .replaceAll(
            m -> Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(m.group(1), 8))));
  }
}
