/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.net.ConnectException;
import java.net.SocketTimeoutException;
import java.net.UnknownHostException;
import java.util.Locale;

/** Words for messages; what a server sent is never shown as it came. */
final class Text {

  private static final int LONGEST = 120;

  private Text() {}

  /** Gives text of a server without control characters, which could forge lines of a log. */
  static String printable(String text) {
    StringBuilder out = new StringBuilder(Math.min(text.length(), LONGEST));
    for (int i = 0; i < text.length() && i < LONGEST; i++) {
      char c = text.charAt(i);
      out.append(c < ' ' || (c >= 0x7f && c < 0xa0) ? '?' : c);
    }
    return text.length() > LONGEST ? out + "…" : out.toString();
  }

  /** Says in a few words what went wrong with a connection. */
  static String ofFailure(IOException e) {
    if (e instanceof UnknownHostException) {
      return "unknown host";
    } else if (e instanceof SocketTimeoutException) {
      return "timed out";
    } else if (e instanceof ConnectException) {
      return message(e).contains("refused") ? "connection refused" : "cannot connect";
    }
    String type = e.getClass().getSimpleName().replaceFirst("Exception$", "");
    String message = message(e);
    return message.isEmpty() ? type : printable(message);
  }

  private static String message(IOException e) {
    return e.getMessage() == null ? "" : e.getMessage();
  }

  /** Gives nanoseconds as seconds with one digit after the point. */
  static String seconds(long nanos) {
    return String.format(Locale.ROOT, "%.1f s", nanos / 1e9);
  }
}
