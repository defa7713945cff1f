/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * Opens a source by its place, with the provider that claims the scheme.
 *
 * <p><b>Threads:</b> an instance may be used by several threads at once. Providers are looked up
 * anew at each open; one that cannot be loaded, or fails to say its schemes, is left out and named
 * in the log.
 *
 * @since 0.1
 */
public final class BlockSources {

  // RFC 3986, section 3.1. One letter is more likely a path of another system than a scheme.
  private static final Pattern SCHEME = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]+:");

  private final ClassLoader loader;

  private BlockSources(ClassLoader loader) {
    this.loader = loader;
  }

  /**
   * Looks for providers where this library was loaded from.
   *
   * @return an opener
   */
  public static BlockSources installed() {
    ClassLoader own = BlockSources.class.getClassLoader();
    return new BlockSources(own != null ? own : ClassLoader.getSystemClassLoader());
  }

  /**
   * Looks for providers in the given class loader and its parents.
   *
   * @param loader for example one over a directory of plugin jars
   * @return an opener
   */
  public static BlockSources in(ClassLoader loader) {
    return new BlockSources(Objects.requireNonNull(loader, "loader"));
  }

  /**
   * Opens the source at a place.
   *
   * @param place a URI, or the path of a file or block device
   * @param options how to open it
   * @return the source; the caller closes it
   * @throws IllegalArgumentException if the place is no URI, or nobody or more than one provider
   *     claims its scheme; the message names those that are there and those that were left out
   * @throws IOException as {@link BlockSourceProvider#open}
   */
  public BlockSource open(String place, SourceOptions options) throws IOException {
    return open(toUri(place), options);
  }

  /**
   * Opens the source at a URI.
   *
   * @param uri the place; needs a scheme
   * @param options how to open it
   * @return the source; the caller closes it
   * @throws IllegalArgumentException if there is no scheme, or nobody or more than one provider
   *     claims it; the message names those that are there and those that were left out
   * @throws IOException as {@link BlockSourceProvider#open}
   */
  public BlockSource open(URI uri, SourceOptions options) throws IOException {
    if (uri.getScheme() == null) {
      throw new IllegalArgumentException(
          "no scheme in the URI of a source: " + withoutSecrets(uri));
    }
    return provider(uri.getScheme().toLowerCase(Locale.ROOT)).open(uri, options);
  }

  /**
   * Finds the one provider of a scheme.
   *
   * @param scheme in lower case
   * @return its provider
   * @throws IllegalArgumentException if nobody or more than one claims it
   */
  public BlockSourceProvider provider(String scheme) {
    List<BlockSourceProvider> claimants = new ArrayList<>();
    TreeSet<String> known = new TreeSet<>();
    Plugins plugins =
        Plugins.each(
            BlockSourceProvider.class,
            loader,
            provider -> {
              Set<String> schemes = Set.copyOf(provider.schemes());
              known.addAll(schemes);
              if (schemes.contains(scheme)
                  && claimants.stream().noneMatch(c -> c.getClass() == provider.getClass())) {
                claimants.add(provider);
              }
            });
    if (claimants.size() == 1) {
      return claimants.get(0);
    }
    throw plugins.tell(
        new IllegalArgumentException(
            (claimants.isEmpty()
                    ? "no source for scheme '" + scheme + "'; there are " + known
                    : "more than one source claims scheme '"
                        + scheme
                        + "': "
                        + claimants.stream().map(c -> c.getClass().getName()).sorted().toList())
                + plugins.leftOut()));
  }

  /**
   * Reads a place as a URI; what has no scheme is the path of a file or block device.
   *
   * @param place a URI or a path
   * @return the URI, {@code file:} with an absolute path for a bare path
   * @throws IllegalArgumentException if it has a scheme and is no URI
   */
  public static URI toUri(String place) {
    if (place.isEmpty()) {
      throw new IllegalArgumentException("empty place of a source");
    }
    if (!SCHEME.matcher(place).lookingAt()) {
      // Path.toUri would add a slash to a directory's; a source wants the path as it is.
      return fileUri(Path.of(place).toAbsolutePath().normalize().toString());
    }
    try {
      return new URI(place);
    } catch (URISyntaxException e) {
      // Without the cause, whose message has all of it.
      throw new IllegalArgumentException(
          "not a URI: " + withoutSecretsThough(place) + " (" + e.getReason() + ")");
    }
  }

  private static URI fileUri(String path) {
    try {
      return new URI("file", null, path, null);
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException("not a path: " + path, e);
    }
  }

  /**
   * Gives a URI as it may be shown and stored: without user info, query and fragment.
   *
   * @param uri any URI
   * @return its text with {@code ?…} in place of a query, which may hold a signature
   */
  public static String withoutSecrets(URI uri) {
    return withoutSecrets(uri.toString());
  }

  // Of what is no URI nobody can tell the parts for sure: a password may hold a slash, a question
  // mark or a number sign. So less is shown.
  private static String withoutSecretsThough(String place) {
    int authority = place.indexOf("//");
    String text = withoutSecrets(place);
    int at = text.lastIndexOf('@');
    if (authority >= 0 && at > authority) {
      text = text.substring(0, authority + 2) + text.substring(at + 1);
    }
    boolean pathless = authority >= 0 && text.indexOf('/', authority + 2) < 0;
    return pathless && !text.equals(place) && place.indexOf('@') >= 0
        ? place.substring(0, authority + 2) + "…"
        : text;
  }

  private static String withoutSecrets(String whole) {
    String text = whole;
    int fragment = text.indexOf('#');
    if (fragment >= 0) {
      text = text.substring(0, fragment);
    }
    int query = text.indexOf('?');
    if (query >= 0) {
      text = text.substring(0, query) + "?…";
    }
    int authority = text.indexOf("//");
    if (authority >= 0) {
      int end = text.indexOf('/', authority + 2);
      int at = text.lastIndexOf('@', end < 0 ? text.length() : end);
      if (at > authority) {
        text = text.substring(0, authority + 2) + text.substring(at + 1);
      }
    }
    return text;
  }
}
