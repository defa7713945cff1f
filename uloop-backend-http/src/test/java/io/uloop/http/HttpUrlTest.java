/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.URI;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(30)
final class HttpUrlTest {

  private static HttpUrl url(String text) {
    return HttpUrl.of(URI.create(text));
  }

  @ParameterizedTest
  @CsvSource({
    "http://Example.ORG, http, example.org, 80, /, example.org",
    "https://h:443/a?b=%20, https, h, 443, /a?b=%20, h",
    "http://me:pw@my_host:8080/x#frag, http, my_host, 8080, /x, my_host:8080",
    "http://h/%C3%BC%20a%2Fb?q=%26, http, h, 80, /%C3%BC%20a%2Fb?q=%26, h",
    "http://h/\u00fc\u4e2d?q=\u00e9, http, h, 80, /%C3%BC%E4%B8%AD?q=%C3%A9, h",
    "http://b\u00fccher.example/, http, xn--bcher-kva.example, 80, /, xn--bcher-kva.example",
    "https://[2001:db8::1]:8443/, https, 2001:db8::1, 8443, /, [2001:db8::1]:8443",
  })
  void of_url_hasItsParts(
      String text, String scheme, String host, int port, String target, String authority) {
    HttpUrl url = url(text);

    assertThat(url).isEqualTo(new HttpUrl(scheme, host, port, target));
    assertThat(url.authority()).isEqualTo(authority);
    assertThat(HttpUrl.of(URI.create(url.toString()))).isEqualTo(url);
  }

  @ParameterizedTest
  @ValueSource(strings = {"ftp://h/x", "http:opaque", "http:///x", "http://h:0/", "http://h:x/"})
  void of_noHttpUrl_isAnError(String text) {
    assertThatThrownBy(() -> url(text)).isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @CsvSource({
    "/x, http://h/x",
    "y, http://h/a/y",
    "?q=1, http://h/a/b?q=1",
    "//other/z, http://other/z",
    "https://s:1/, https://s:1/",
    "/with space, http://h/with%20space",
    "/caf\u00c3\u00a9, http://h/caf%C3%A9",
    "../up, http://h/up",
  })
  void resolve_location_leadsThere(String location, String expected) {
    assertThat(url("http://h/a/b").resolve(location)).hasToString(expected);
  }

  @Test
  void shown_query_isLeftOut() {
    assertThat(url("http://u:p@h/x?token=t").shown()).isEqualTo("http://h/x?…");
  }

  @Test
  void identity_signatureChanges_staysTheSame() {
    String one = url("https://h/i?v=2&X-Amz-Date=1&X-Amz-Signature=a&Expires=5&token=x").identity();
    String two = url("https://h/i?v=2&X-Amz-Date=2&X-Amz-Signature=b&Expires=9&token=y").identity();

    assertThat(one).isEqualTo(two).startsWith("https://h/i?sha256=");
    assertThat(url("https://h/i?v=3").identity()).isNotEqualTo(url("https://h/i?v=2").identity());
    assertThat(url("https://h/i?Signature=b").identity()).isEqualTo("https://h/i");
  }

  @Test
  void identity_sharedAccessNames_countOnlyBesideTheirSignature() {
    assertThat(url("https://h/i?sp=r&se=1&sig=a").identity()).isEqualTo("https://h/i");
    assertThat(url("https://h/i?sp=r").identity()).isNotEqualTo("https://h/i");
  }
}
