/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the file of passwords that ftp and curl use.
 *
 * <p><b>Source:</b> ftp(1), "THE .netrc FILE"; a {@code #} at the beginning of a line is a comment,
 * as curl has it; so is a token within double quotes, where a backslash goes before what is meant
 * as it is, or before the n, r or t of a control character.
 */
final class Netrc {

  // Quoted, with its end; or anything up to a space, which begins with a quote if that has no end.
  private static final Pattern TOKEN =
      Pattern.compile("\"((?:[^\"\\\\]++|\\\\.)*+)\"|\\S++", Pattern.DOTALL);

  private static final Pattern ESCAPE = Pattern.compile("\\\\(.)", Pattern.DOTALL);

  private Netrc() {}

  /** Finds a host's credentials; those of {@code default} if the host is not named. */
  static Optional<HttpCredentials> find(Path file, String host) throws IOException {
    return find(Files.readAllLines(file), host);
  }

  static Optional<HttpCredentials> find(List<String> lines, String host)
      throws SourceRefusedException {
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

  private static List<String> tokens(List<String> lines) throws SourceRefusedException {
    List<String> tokens = new ArrayList<>();
    boolean macro = false;
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      // A macro goes to the next empty line.
      macro = macro && !line.isBlank();
      if (macro || line.startsWith("#")) {
        continue;
      }
      Matcher token = TOKEN.matcher(line);
      while (!macro && token.find()) {
        if (token.group(1) != null) {
          tokens.add(unescape(token.group(1)));
        } else if (token.group().startsWith("\"")) {
          // Nothing of the line, which may be a password.
          throw new SourceRefusedException(
              "netrc: a quote in line " + (i + 1) + " has no end in that line");
        } else if (token.group().equals("macdef")) {
          macro = true;
        } else {
          tokens.add(token.group());
        }
      }
    }
    return tokens;
  }

  private static String unescape(String quoted) {
    return ESCAPE
        .matcher(quoted)
        .replaceAll(
            escape ->
                Matcher.quoteReplacement(
                    switch (escape.group(1)) {
                      case "n" -> "\n";
                      case "r" -> "\r";
                      case "t" -> "\t";
                      default -> escape.group(1);
                    }));
  }
}
