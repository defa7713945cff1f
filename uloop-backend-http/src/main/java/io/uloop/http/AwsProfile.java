/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A section of the two files that the AWS command line reads: the shared credentials file and the
 * configuration file.
 *
 * @param name the section's name
 * @param shared the shared credentials file
 * @param config the configuration file
 */
record AwsProfile(String name, Path shared, Path config) {

  // Ways to get keys that would need a program, a browser or more services.
  private static final List<String> OTHER_WAYS =
      List.of("role_arn", "credential_process", "sso_session", "sso_start_url");

  /**
   * Finds it.
   *
   * @param name the section; null for {@code AWS_PROFILE}, else {@code default}
   */
  static AwsProfile of(Map<String, String> environment, Path home, @Nullable String name) {
    String usual = environment.getOrDefault("AWS_PROFILE", "");
    return new AwsProfile(
        name != null ? name : usual.isEmpty() ? "default" : usual,
        file(environment, "AWS_SHARED_CREDENTIALS_FILE", home.resolve(".aws/credentials")),
        file(environment, "AWS_CONFIG_FILE", home.resolve(".aws/config")));
  }

  private static Path file(Map<String, String> environment, String variable, Path usual) {
    String value = environment.getOrDefault(variable, "");
    return value.isEmpty() ? usual : Path.of(value);
  }

  /** Reads the keys, of the shared credentials file first. */
  Optional<S3Credentials> credentials() throws IOException {
    for (Map<String, String> section :
        List.of(section(shared, name), section(config, configSection()))) {
      Optional<S3Credentials> found =
          S3Credentials.of(
              section.get("aws_access_key_id"),
              section.get("aws_secret_access_key"),
              section.get("aws_session_token"),
              Optional.empty());
      if (found.isPresent()) {
        return found;
      }
    }
    return Optional.empty();
  }

  /** Names the setting by which the section gets keys in a way that is not there, if it does. */
  Optional<String> otherWay() throws IOException {
    Map<String, String> both = new HashMap<>(section(config, configSection()));
    both.putAll(section(shared, name));
    return OTHER_WAYS.stream().filter(both::containsKey).findFirst();
  }

  /** Reads the region. */
  Optional<String> region() throws IOException {
    return Optional.ofNullable(section(config, configSection()).get("region"));
  }

  private String configSection() {
    return name.equals("default") ? name : "profile " + name;
  }

  private static Map<String, String> section(Path file, String name) throws IOException {
    Map<String, String> values = new HashMap<>();
    if (!Files.isReadable(file)) {
      return values;
    }
    boolean inside = false;
    for (String line : Files.readAllLines(file)) {
      String text = line.strip();
      int equals = text.indexOf('=');
      if (text.startsWith("[")) {
        int end = text.indexOf(']');
        inside = end > 0 && text.substring(1, end).strip().replaceAll("\\s+", " ").equals(name);
      } else if (inside && equals > 0 && !text.startsWith("#") && !text.startsWith(";")) {
        values.put(text.substring(0, equals).strip(), text.substring(equals + 1).strip());
      }
    }
    return values;
  }
}
