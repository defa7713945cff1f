/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import io.uloop.SourceRefusedException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Looks for keys where the AWS command line does, in its order: environment, the two files, the
 * container's service, the instance's service. A profile that was named is read from the files and
 * nowhere else.
 *
 * <p><b>Threads:</b> any; each {@link #read} looks anew.
 */
final class S3CredentialChain implements S3Credentials.Source {

  private final Map<String, String> environment;
  private final AwsProfile profile;
  private final boolean named;
  private final AwsMetadata metadata;

  /**
   * Makes one; looks nowhere yet.
   *
   * @param profile the section of the files that was asked for; null if none was
   */
  S3CredentialChain(Map<String, String> environment, Path home, @Nullable String profile) {
    this(environment, home, profile, new AwsMetadata(Map.copyOf(environment)));
  }

  S3CredentialChain(
      Map<String, String> environment, Path home, @Nullable String profile, AwsMetadata metadata) {
    this.environment = Map.copyOf(environment);
    this.profile = AwsProfile.of(environment, home, profile);
    this.named = profile != null;
    this.metadata = metadata;
  }

  /**
   * Finds the region: environment, then the profile, then us-east-1.
   *
   * @param profile the section of the files that was asked for; null if none was
   */
  static String region(Map<String, String> environment, Path home, @Nullable String profile)
      throws IOException {
    for (String name : new String[] {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
      String value = environment.getOrDefault(name, "");
      if (!value.isEmpty()) {
        return value;
      }
    }
    return AwsProfile.of(environment, home, profile).region().orElse("us-east-1");
  }

  /**
   * Looks.
   *
   * @throws SourceRefusedException if there are none; the message says where was looked
   */
  @Override
  public S3Credentials read() throws IOException {
    if (!named) {
      Optional<S3Credentials> found =
          S3Credentials.of(
              environment.get("AWS_ACCESS_KEY_ID"),
              environment.get("AWS_SECRET_ACCESS_KEY"),
              environment.get("AWS_SESSION_TOKEN"),
              Optional.empty());
      if (found.isPresent()) {
        return found.get();
      }
    }
    Optional<S3Credentials> found = profile.credentials();
    if (found.isPresent()) {
      return found.get();
    }
    Optional<String> way = profile.otherWay();
    if (way.isPresent()) {
      throw new SourceRefusedException(
          "no S3 credentials: profile '"
              + profile.name()
              + "' has "
              + way.get()
              + ", which is not known here; keys can be put into the environment");
    }
    String files =
        "profile '" + profile.name() + "' in " + profile.shared() + " or " + profile.config();
    if (named) {
      throw new SourceRefusedException("no S3 credentials: no keys for " + files);
    }
    found = metadata.container();
    if (found.isPresent()) {
      return found.get();
    }
    AwsMetadata.Answer instance = metadata.instance();
    if (instance.credentials().isPresent()) {
      return instance.credentials().get();
    }
    throw new SourceRefusedException(
        "no S3 credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor "
            + files
            + ", nor a container's, nor an instance's ("
            + instance.why()
            + "); s3.anonymous=true reads without");
  }
}
