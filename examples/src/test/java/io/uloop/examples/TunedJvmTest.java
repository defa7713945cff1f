/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Which JVMs are given other options. That it works is shown by {@code tuned-jvm.test}, with the
 * jar.
 */
@Timeout(60)
class TunedJvmTest {

  private static final String MAIN = "io.uloop.examples.UloHttp";
  private static final String[] ARGS = {"-b", "b", "unix:s", "http://a/b"};

  private static boolean takesOptions(String... jvm) {
    List<String> line = new ArrayList<>(List.of(jvm));
    line.addAll(List.of(ARGS));
    return TunedJvm.takesOptions(line, MAIN, ARGS);
  }

  @Test
  void programWithoutOptionsThatMatter_takesSome() {
    assertThat(takesOptions("java", "-jar", "ulohttp.jar")).isTrue();
    assertThat(takesOptions("java", "-Xmx64m", "-Da=b", "-jar", "ulohttp.jar")).isTrue();
    assertThat(takesOptions("/opt/jdk/bin/java", "-cp", "a.jar:b.jar", MAIN))
        .isEqualTo(Runtime.version().feature() < 24); // it would warn of native code
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "-XX:+UseSerialGC",
        "-agentlib:jdwp=transport=dt_socket,server=y",
        "-javaagent:coverage.jar",
        "-Xint",
        "-Xshare:off",
        "-Xdebug",
        "-Dcom.sun.management.jmxremote.port=9999",
        "@options"
      })
  void whoeverChoosesIsLeftAlone(String option) {
    assertThat(takesOptions("java", option, "-jar", "ulohttp.jar")).isFalse();
  }

  @Test
  void programsThatHaveThisOneInThemAreLeftAlone() {
    assertThat(takesOptions("java", "-cp", "a.jar", "com.example.Main")).isFalse();
    assertThat(takesOptions("java", "@launch")).isFalse();
    assertThat(takesOptions("java")).isFalse();
    assertThat(TunedJvm.takesOptions(List.of(), MAIN, ARGS)).isFalse();
    assertThat(
            TunedJvm.takesOptions(
                List.of("java", "-jar", "app.jar", "--serve", "http://a/b"), MAIN, ARGS))
        .isFalse();
  }

  @Test
  void noArgumentsAtAll() {
    String[] none = {};
    assertThat(TunedJvm.takesOptions(List.of("java", "-jar", "ulohttp.jar"), MAIN, none)).isTrue();
  }

  @Test
  void variablesOfTheJvmAreAChoice() {
    assertThat(TunedJvm.ownChoice(Map.of("PATH", "/bin"))).isFalse();
    assertThat(TunedJvm.ownChoice(Map.of("JDK_JAVA_OPTIONS", ""))).isTrue();
    assertThat(TunedJvm.ownChoice(Map.of("JAVA_TOOL_OPTIONS", "-Xmx1g"))).isTrue();
    assertThat(TunedJvm.ownChoice(Map.of("_JAVA_OPTIONS", "-Xmx1g"))).isTrue();
  }

  private static boolean plain(String... args) {
    return TunedJvm.seemsPlain(args);
  }

  @Test
  void whatIsNotSaidToBeEncipheredIsPlain() {
    assertThat(plain("unix:s", "http://a/b")).isTrue();
    assertThat(plain("unix:s", "--export=", "HTTP://a/b")).isTrue();
    assertThat(plain("unix:s", "image")).isTrue();
    assertThat(plain("-o", "http.mirror=http://c/b", "/dev/nbd0", "/dev/sdb")).isTrue();
    assertThat(plain("unix:s", "https://a/b")).isFalse();
    assertThat(plain("unix:s", "s3://a/b")).isFalse();
    assertThat(plain("-o", "http.mirror=HTTPS://c/b", "unix:s", "http://a/b")).isFalse();
    assertThat(plain("-o", "tls-certificates=d", "tcp:0.0.0.0:10809", "image")).isFalse();
    assertThat(plain("--plugins=jars", "unix:s", "other://a/b")).isFalse();
    assertThat(plain("-o", "http.ca-file=ca.pem", "unix:s", "http://a/b")).isFalse();
    assertThat(plain("@arguments")).isFalse();
  }

  @Test
  void whatCanBeReadOnlyOnceIsReadOnce() {
    assertThat(plain("-o", "http.user-file=/etc/passwd", "unix:s", "http://a/b")).isTrue();
    assertThat(plain("-o", "http.user-file=/nowhere", "unix:s", "http://a/b")).isTrue();
    assertThat(plain("-o", "http.user-file=/dev/tty", "unix:s", "http://a/b")).isFalse();
  }
}
