/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uloop.SourceUnavailableException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A URL that leads to a node, which then fails, and what the URL says and does meanwhile. */
@Timeout(60)
final class HttpRedirectTest {

  private static final byte[] IMAGE = LyingOrigin.image(5, 50_000);

  private LyingOrigin first;
  private LyingOrigin node;
  private LyingOrigin other;
  private HttpBlockSource source;

  @BeforeEach
  void open() throws IOException {
    first = LyingOrigin.serving(IMAGE);
    node = LyingOrigin.serving(IMAGE);
    other = LyingOrigin.serving(IMAGE);
    leadTo(node);
    source = open(Duration.ofSeconds(20));
    first.forgetRequests();
  }

  private HttpBlockSource open(Duration timeout) throws IOException {
    return HttpBlockSource.open(HttpSourceConfig.builder(first.uri()).timeout(timeout).build());
  }

  @AfterEach
  void close() throws IOException {
    assertThat(source.connections().leased()).as("connections leased").isZero();
    source.close();
    first.close();
    node.close();
    other.close();
  }

  private void leadTo(LyingOrigin target) {
    first.always(LyingOrigin.redirect(302, target.uri().toString()));
  }

  private void readsWhole() throws IOException {
    ByteBuffer dst = ByteBuffer.allocate(IMAGE.length);
    source.read(0, dst);
    assertThat(dst.array()).isEqualTo(IMAGE);
  }

  @Test
  void read_targetDown_isResolvedAgainFromTheFirst() throws IOException {
    readsWhole();
    node.down();
    leadTo(other);

    readsWhole();
    assertThat(other.requests()).isNotEmpty();

    first.forgetRequests();
    readsWhole();
    assertThat(first.requests()).as("the new target is kept").isEmpty();
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {
        "UNAVAILABLE",
        "RESET_HEAD",
        "GARBAGE",
        "NO_CONTENT_RANGE",
        "TEAPOT",
        "UNAUTHORIZED"
      })
  void read_targetFailsForGood_isResolvedAgainFromTheFirst(Lie lie) throws IOException {
    node.always(lie);
    leadTo(other);

    readsWhole();
  }

  @Test
  void read_targetSilent_isResolvedAgainFromTheFirst() throws IOException {
    source.close();
    HttpSourceConfig.Builder config =
        HttpSourceConfig.builder(first.uri()).timeout(Duration.ofSeconds(40));
    config.answerTimeout = Duration.ofSeconds(1);
    source = HttpBlockSource.open(config.build());
    node.pause();
    leadTo(other);

    readsWhole();
  }

  @Test
  void read_targetFailsOnce_firstIsNotAsked() throws IOException {
    node.next(Lie.UNAVAILABLE);
    readsWhole();
    node.next(Lie.UNAVAILABLE);
    readsWhole();

    assertThat(first.requests()).isEmpty();
  }

  @Test
  void read_firstIsDownToo_targetIsUsedAsSoonAsItIsBack() throws IOException {
    first.down();
    node.next(Lie.UNAVAILABLE, Lie.UNAVAILABLE, Lie.UNAVAILABLE);

    readsWhole();
  }

  @ParameterizedTest
  @EnumSource(
      value = Lie.class,
      names = {"UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "TEAPOT", "UNAVAILABLE"})
  void read_firstRefusesMeanwhile_targetIsUsedAsSoonAsItIsBack(Lie lie) throws IOException {
    first.always(lie);
    node.next(Lie.UNAVAILABLE, Lie.UNAVAILABLE, Lie.UNAVAILABLE);

    readsWhole();
  }

  @Test
  void open_targetDown_isResolvedAgainFromTheFirst() throws IOException {
    source.close();
    node.always(Lie.UNAVAILABLE);
    first.next(LyingOrigin.redirect(302, node.uri().toString()));
    leadTo(other);

    source = open(Duration.ofSeconds(20));
    readsWhole();
  }

  @Test
  void read_bothDownForGood_failsWithBothPlaces() throws IOException {
    source.close();
    source = open(Duration.ofSeconds(3));
    node.down();
    first.down();

    assertThatThrownBy(this::readsWhole)
        .isInstanceOf(SourceUnavailableException.class)
        .hasMessageContaining(first.uri() + " -> " + node.uri());
  }
}
