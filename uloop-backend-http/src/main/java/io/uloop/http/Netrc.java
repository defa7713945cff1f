/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.StringTokenizer;

/**
 * Reads the file of passwords that ftp and curl use.
 *
 * <p><b>Source:</b> ftp(1), "THE .netrc FILE"; a {@code #} at the beginning of a line is a comment,
 * as curl has it.
 */
final class Netrc {

  private Netrc() {}

  /** Finds a host's credentials; those of {@code default} if the host is not named. */
  static Optional<HttpCredentials> find(Path file, String host) throws IOException {
    return find(Files.readAllLines(file), host);
  }

  static Optional<HttpCredentials> find(List<String> lines, String host) {
    ArrayDeque<String> tokens = new ArrayDeque<>(tokens(lines));
    while (!tokens.isEmpty()) {
      String token = tokens.remove();
      boolean named = token.equals("machine") && !tokens.isEmpty();
      if (named || token.equals("default")) {
        boolean ours = !named || tokens.remove().equalsIgnoreCase(host);
        Optional<HttpCredentials> found = entry(tokens);
        if (ours) {
          return found;
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<HttpCredentials> entry(ArrayDeque<String> tokens) {
    String login = "";
    String password = "";
    while (!tokens.isEmpty()
        && !tokens.element().equals("machine")
        && !tokens.element().equals("default")) {
      String name = tokens.remove();
      if (tokens.isEmpty()) {
        break;
      }
      String value = tokens.remove();
      if (name.equals("login")) {
        login = value;
      } else if (name.equals("password")) {
        password = value;
      }
    }
    return login.isEmpty() && password.isEmpty()
        ? Optional.empty()
        : Optional.of(HttpCredentials.basic(login, password));
  }

  private static List<String> tokens(List<String> lines) {
    List<String> tokens = new ArrayList<>();
    boolean macro = false;
    for (String line : lines) {
      // A macro goes to the next empty line.
      macro = macro && !line.isBlank();
      if (macro || line.startsWith("#")) {
        continue;
      }
      for (StringTokenizer each = new StringTokenizer(line); each.hasMoreTokens(); ) {
        String token = each.nextToken();
        if (token.equals("macdef")) {
          macro = true;
          break;
        }
        tokens.add(token);
      }
    }
    return tokens;
  }
}
