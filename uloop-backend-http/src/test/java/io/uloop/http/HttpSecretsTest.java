/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.uloop.SourceOptions;
import io.uloop.SourceRefusedException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * URLs that are none, with something secret in them: the message says what is wrong, and neither it
 * nor any cause has the secret.
 */
@Timeout(30)
final class HttpSecretsTest {

  private static Throwable thrownBy(ThrowingCallable what) {
    Throwable thrown = catchThrowable(what);
    assertThat(thrown).isNotNull();
    StringWriter all = new StringWriter();
    thrown.printStackTrace(new PrintWriter(all));
    assertThat(all.toString())
        .doesNotContain("SEC/")
        .doesNotContain("user:")
        .doesNotContain("SECRET")
        .doesNotContain("TOKEN");
    return thrown;
  }

  private static Object open(String uri, String... properties) throws Exception {
    SourceOptions.Builder options = SourceOptions.builder();
    for (int i = 0; i < properties.length; i += 2) {
      options.property(properties[i], properties[i + 1]);
    }
    return new HttpSourceProvider().open(URI.create(uri), options.build());
  }

  static Stream<Arguments> properties() {
    return Stream.of(
        Arguments.of(
            "http.mirror", "http://u:SECRET@h/x?TOKEN%zz", "Malformed escape pair at index 25"),
        Arguments.of(
            "http.mirror",
            "http://h/ok http://u:SECRET@bad^host/",
            "Illegal character in authority at index"),
        Arguments.of("http.mirror", "u:SECRET@h", "not an http or https URL"),
        Arguments.of(
            "http.proxy", "http://u:SECRET@bad host", "Illegal character in authority at index"),
        Arguments.of("http.proxy", "u:SECRET@bad host", "Illegal character in authority"),
        Arguments.of("http.proxy", "http://u:SECRET@h:port/", "not a port in the URL: h:port"),
        Arguments.of("http.header", "X-Key SECRET: x", "not a header"),
        Arguments.of("http.header", "Cookie session=SECRET:1", "not a header"));
  }

  @ParameterizedTest
  @MethodSource("properties")
  void open_propertyIsNoUrl_saysWhereWithoutTheSecret(String name, String value, String said) {
    assertThat(thrownBy(() -> open("http://127.0.0.1:1/", name, value)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(name)
        .hasMessageContaining(said);
  }

  @ParameterizedTest
  @CsvSource({
    "http://u:SECRET@bad host, Illegal character in authority at index",
    "u:SECRET@h, 'the endpoint of S3: not an http or https URL'",
    "http://u:SECRET@h:port, 'the endpoint of S3: not a port in the URL: h:port'",
  })
  void open_endpointIsNoUrl_saysWhyWithoutTheSecret(String endpoint, String said) {
    assertThat(
            thrownBy(
                () ->
                    open(
                        "s3://bucket/key",
                        "s3.endpoint",
                        endpoint,
                        "s3.region",
                        "r",
                        "s3.anonymous",
                        "true")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(said);
  }

  @ParameterizedTest
  @CsvSource({
    "s3://u:SECRET@bucket/key, user info in s3://bucket/key",
    "s3://buck%20et/key?SECRET, not a URL: Illegal character",
  })
  void url_bucketIsNone_isRefusedWithoutTheSecret(String uri, String said) {
    URI endpoint = URI.create("https://s3.example");

    assertThat(thrownBy(() -> S3Place.url(URI.create(uri), endpoint, "r", false)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(said);
  }

  @ParameterizedTest
  @CsvSource({
    "http://user:SEC/RET@host/img, 'not a port in the URL: …'",
    "http://user:SEC?RET@host/img, 'not a port in the URL: …'",
    "http://user:SECRET@host:img/, 'not a port in the URL: host:img'",
    "http://user:0/SECRET@host/, 'not a host and port in the URL: …'",
    "http://user\ue000/SECRET@host, not a host's name in the URL: …",
    "SECRET:user@host, not an http or https URL",
  })
  void of_passwordEndsTheAuthority_noneOfItIsShown(String url, String said) {
    assertThat(thrownBy(() -> HttpUrl.of(URI.create(url))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(said)
        .hasMessageNotContaining("user");
  }

  @ParameterizedTest
  @CsvSource({"http_proxy, http", "https_proxy, https", "all_proxy, https"})
  void choose_environmentIsNoUrl_namesTheVariableWithoutTheSecret(String name, String scheme) {
    ProxyChoice choice = new ProxyChoice(null, null, Map.of(name, "http://u:SECRET@bad host"));

    assertThat(thrownBy(() -> choice.choose(HttpUrl.of(URI.create(scheme + "://image.example/")))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(name)
        .hasMessageContaining("Illegal character in authority at index");
  }

  @ParameterizedTest
  @CsvSource({
    "http://u:SECRET@h/%zz?SECRET, Malformed escape pair at index 18",
    "http://u:SECRET@h:port/?SECRET, 'not a port in the URL: h:port'",
    "ftp://u:SECRET@h/, 'not an http or https URL: ftp://…'",
  })
  void open_locationIsNoUrl_isRefusedWithoutTheSecret(String location, String said)
      throws Exception {
    try (LyingOrigin origin = LyingOrigin.serving(LyingOrigin.image(4, 1000))) {
      origin.always(LyingOrigin.redirect(302, location));

      assertThat(thrownBy(() -> open(origin.uri().toString())))
          .isInstanceOf(SourceRefusedException.class)
          .hasMessageContaining("redirected to what is no http or https URL: ")
          .hasMessageContaining(said);
    }
  }

  @Test
  void read_containerCredentialsAtNoUrl_areRefusedWithoutTheSecret(@TempDir Path home) {
    Map<String, String> environment =
        Map.of("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://u:SECRET@bad host/?SECRET");

    assertThat(thrownBy(() -> new S3CredentialChain(environment, home, null).read()))
        .isInstanceOf(SourceRefusedException.class)
        .hasMessageContaining("Illegal character in authority at index");
  }
}
