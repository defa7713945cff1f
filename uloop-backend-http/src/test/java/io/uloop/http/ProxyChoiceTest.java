/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.URI;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which proxy is asked for which URL. */
final class ProxyChoiceTest {

  private static HttpUrl url(String text) {
    return HttpUrl.of(URI.create(text));
  }

  private static String chosen(Map<String, String> environment, String url) {
    return new ProxyChoice(null, null, environment)
        .choose(url(url))
        .map(proxy -> proxy.url().authority())
        .orElse("none");
  }

  @ParameterizedTest
  @CsvSource({
    "http_proxy, http://x.example/, p",
    "http_proxy, https://x.example/, none",
    "https_proxy, https://x.example/, p",
    "HTTPS_PROXY, https://x.example/, p",
    "https_proxy, http://x.example/, none",
    "all_proxy, http://x.example/, p",
    "ALL_PROXY, https://x.example/, p",
    "http_proxy, http://127.0.0.1/, none",
    "http_proxy, http://127.9.9.9:8080/, none",
    "http_proxy, http://[::1]/, none",
    "http_proxy, http://[0:0:0:0:0:0:0:1]/, none",
    "http_proxy, http://localhost/, none",
  })
  void choose_environment_isFollowedAndLoopbackSpared(String name, String url, String proxy) {
    assertThat(chosen(Map.of(name, "http://p"), url)).isEqualTo(proxy);
  }

  @Test
  void choose_upperCaseHttpProxy_isIgnoredAsACgiRequestCanSetIt() {
    assertThat(chosen(Map.of("HTTP_PROXY", "http://p"), "http://x.example/")).isEqualTo("none");
  }

  @Test
  void choose_lowerCase_goesBeforeUpperCase() {
    assertThat(
            chosen(
                Map.of("https_proxy", "low:1", "HTTPS_PROXY", "up:1", "all_proxy", "all:1"),
                "https://x.example/"))
        .isEqualTo("low:1");
  }

  @ParameterizedTest
  @CsvSource({
    "*, http://x.example/, true",
    "x.example, http://x.example/, true",
    "x.example, http://deep.x.example/, true",
    "X.Example, http://x.EXAMPLE/, true",
    "x.example, http://nox.example/, false",
    ".example, http://x.example/, true",
    "*.example, http://x.example/, true",
    ".example, http://example/, true",
    "x.example:8080, http://x.example:8080/, true",
    "x.example:8080, http://x.example/, false",
    "x.example:80, http://x.example/, true",
    ".example:8080, http://x.example:8080/, true",
    "'a.example, b.example ,x.example', http://x.example/, true",
    "a.example x.example, http://x.example/, true",
    "10.1.2.3, http://10.1.2.3/, true",
    "10.1.2.3:80, http://10.1.2.3/, true",
    "10.1.2.3:81, http://10.1.2.3/, false",
    "10.1.2.3, http://110.1.2.3/, false",
    "10.0.0.0/8, http://10.1.2.3/, true",
    "10.0.0.0/8, http://11.1.2.3/, false",
    "10.1.2.128/25, http://10.1.2.127/, false",
    "0.0.0.0/0, http://11.1.2.3/, true",
    "10.0.0.0/8, http://ten.example/, false",
    "10.0.0.0/33, http://10.0.0.0/, false",
    "10.0.0.0/x, http://10.0.0.0/, false",
    "fd00::/8, 'http://[fd12::1]/', true",
    "fd00::/8, 'http://[fe80::1]/', false",
    "fd00::/8, http://10.1.2.3/, false",
    "fd12::1, 'http://[fd12:0:0::1]/', true",
    "[fd12::1], 'http://[fd12::1]/', true",
    "[fd12::1]:80, 'http://[fd12::1]/', true",
    "[fd12::1]:81, 'http://[fd12::1]/', false",
    "':80', http://x.example/, false",
    "'', http://x.example/, false",
  })
  void choose_noProxy_isFollowed(String list, String url, boolean direct) {
    assertThat(chosen(Map.of("http_proxy", "http://p", "NO_PROXY", list), url))
        .isEqualTo(direct ? "none" : "p");
    assertThat(new ProxyChoice("http://p", list, Map.of()).choose(url(url)).isEmpty())
        .isEqualTo(direct);
  }

  @Test
  void choose_settingNone_ignoresTheEnvironment() {
    assertThat(new ProxyChoice("none", null, Map.of("all_proxy", "p")).choose(url("http://x.y/")))
        .isEmpty();
  }

  @Test
  void choose_socksProxyInTheEnvironment_isAnErrorThatNamesItWithoutSecrets() {
    Map<String, String> environment = Map.of("ALL_PROXY", "socks5://me:secret@p:1080");

    assertThatThrownBy(() -> chosen(environment, "http://x.example/"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("all_proxy is not the URL of an http proxy")
        .hasMessageNotContaining("secret");
    assertThat(chosen(environment, "http://127.0.0.1/")).isEqualTo("none");
  }

  @ParameterizedTest
  @CsvSource({
    "http://me:secret@h/, me, secret",
    "http://me@h/, me, ''",
    "http://me:p%40ss+%3A%25@h/, me, p@ss+:%",
    "http://m%C3%BC:p:w@h/, m\u00fc, p:w",
  })
  void userInfo_encoded_isDecoded(String url, String user, String password) {
    assertThat(ProxyChoice.userInfo(URI.create(url)))
        .contains(HttpCredentials.basic(user, password));
  }

  @Test
  void userInfo_colonInTheName_isAnErrorAsBasicHasNoWayForIt() {
    assertThatThrownBy(() -> ProxyChoice.userInfo(URI.create("http://m%3Ae:pw@h/")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageNotContaining("pw");
  }
}
