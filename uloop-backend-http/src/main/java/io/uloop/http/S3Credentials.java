/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A key pair for S3; its text form never shows the secret.
 *
 * @param accessKey the access key id
 * @param secretKey the secret access key
 * @param sessionToken the token of temporary credentials
 */
record S3Credentials(String accessKey, String secretKey, Optional<String> sessionToken) {

  /** Reads credentials, anew each time, since temporary ones are replaced in place. */
  @FunctionalInterface
  interface Source {
    /** Reads them. */
    S3Credentials read() throws IOException;
  }

  /**
   * Looks where the AWS command line looks first: environment variables, then the shared
   * credentials file, then the configuration file.
   *
   * @param profile the section of the files, or null for {@code AWS_PROFILE}, else {@code default}
   */
  static S3Credentials find(Map<String, String> environment, Path home, @Nullable String profile)
      throws IOException {
    Optional<S3Credentials> found =
        profile == null
            ? pair(
                environment.get("AWS_ACCESS_KEY_ID"),
                environment.get("AWS_SECRET_ACCESS_KEY"),
                environment.get("AWS_SESSION_TOKEN"))
            : Optional.empty();
    if (found.isPresent()) {
      return found.get();
    }
    String name = profileName(environment, profile);
    Path shared =
        file(environment, "AWS_SHARED_CREDENTIALS_FILE", home.resolve(".aws/credentials"));
    Path config = configFile(environment, home);
    for (Map<String, String> section :
        List.of(section(shared, name), section(config, configSection(name)))) {
      found =
          pair(
              section.get("aws_access_key_id"),
              section.get("aws_secret_access_key"),
              section.get("aws_session_token"));
      if (found.isPresent()) {
        return found.get();
      }
    }
    throw new SourceRefusedException(
        "no S3 credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor profile '"
            + name
            + "' in "
            + shared
            + " or "
            + config
            + "; s3.anonymous=true reads without");
  }

  /** Finds the region: environment, then the configuration file's profile, then us-east-1. */
  static String region(Map<String, String> environment, Path home, @Nullable String profile)
      throws IOException {
    for (String name : List.of("AWS_REGION", "AWS_DEFAULT_REGION")) {
      String value = environment.getOrDefault(name, "");
      if (!value.isEmpty()) {
        return value;
      }
    }
    Map<String, String> section =
        section(configFile(environment, home), configSection(profileName(environment, profile)));
    return section.getOrDefault("region", "us-east-1");
  }

  private static String profileName(Map<String, String> environment, @Nullable String profile) {
    return profile != null ? profile : environment.getOrDefault("AWS_PROFILE", "default");
  }

  private static Path configFile(Map<String, String> environment, Path home) {
    return file(environment, "AWS_CONFIG_FILE", home.resolve(".aws/config"));
  }

  private static String configSection(String profile) {
    return profile.equals("default") ? profile : "profile " + profile;
  }

  private static Path file(Map<String, String> environment, String variable, Path usual) {
    String value = environment.getOrDefault(variable, "");
    return value.isEmpty() ? usual : Path.of(value);
  }

  private static Optional<S3Credentials> pair(
      @Nullable String access, @Nullable String secret, @Nullable String token) {
    if (access == null || secret == null || access.isEmpty() || secret.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new S3Credentials(
            access, secret, Optional.ofNullable(token).filter(text -> !text.isEmpty())));
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
        inside = text.equals("[" + name + "]");
      } else if (inside && equals > 0 && !text.startsWith("#")) {
        values.put(text.substring(0, equals).strip(), text.substring(equals + 1).strip());
      }
    }
    return values;
  }

  /** Names the key but not the secret. */
  @Override
  public String toString() {
    return "S3Credentials[" + accessKey + " …]";
  }
}
