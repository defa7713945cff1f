/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The small value types: what they accept and what they refuse. */
class ValueTypesTest {

  @ParameterizedTest
  @ValueSource(strings = {"", "a\nb", "a\rb"})
  void validator_valueThatIsNoLine_isRefused(String value) {
    assertThatThrownBy(() -> new Validator(Validator.Kind.ETAG, value))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void validator_valueThatCannotBeStored_isRefusedAndSaidWhere() {
    assertThatThrownBy(() -> new Validator(Validator.Kind.ETAG, "ab\nc"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("U+000A at index 2 cannot be stored: value=ab?c");
    assertThatThrownBy(() -> new Validator(Validator.Kind.OTHER, "\ud83d"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("U+D83D at index 0");
    assertThat(new Validator(Validator.Kind.OTHER, "é \ud83d\ude00").value()).hasSize(4);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "a\nb",
        "a\rb",
        "a\tb",
        "a\0",
        "a\u007fb",
        "a\u0085",
        "a\u2028b",
        "a\ud83d",
        "a\ude00\ud83d"
      })
  void identity_uriThatCannotBeStored_isRefusedAndSaidWhere(String uri) {
    assertThatThrownBy(() -> new SourceIdentity(uri, 1, Optional.empty()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("U+%04X at index 1 cannot be stored: uri=a?", (int) uri.charAt(1));
  }

  @Test
  void identity_uriOfOtherLetters_isAsGiven() {
    String uri = "file:/bilder/größe \ud83d\ude00.img";
    assertThat(new SourceIdentity(uri, 1, Optional.empty()).uri()).isEqualTo(uri);
  }

  @Test
  void identity_negativeSize_isRefused() {
    assertThatThrownBy(() -> new SourceIdentity("file:/x", -1, Optional.empty()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("file:/x")
        .hasMessageContaining("-1");
  }

  @ParameterizedTest
  @CsvSource({"0,1", "3,4", "512,1000", "4096,512", "-2,4"})
  void capabilities_sizesThatAreNone_areRefused(int minimum, int preferred) {
    assertThatThrownBy(
            () -> new DeviceCapabilities(true, true, true, true, false, minimum, preferred))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("minimum=" + minimum);
  }

  @Test
  void capabilities_readOnly_canNothingButRead() {
    DeviceCapabilities readOnly = DeviceCapabilities.readOnly(4096);

    assertThat(readOnly)
        .isEqualTo(new DeviceCapabilities(false, false, false, false, false, 1, 4096));
  }

  @Test
  void options_defaults_areReadOnlyAndPlain() {
    SourceOptions options = SourceOptions.defaults();

    assertThat(options.timeout()).isEqualTo(Duration.ofSeconds(30));
    assertThat(options.writable()).isFalse();
    assertThat(options.properties()).isEmpty();
  }

  @Test
  void options_builderUsedOn_doesNotChangeWhatWasBuilt() {
    SourceOptions.Builder builder = SourceOptions.builder().property("a", "1");
    SourceOptions options = builder.build();
    builder.property("a", "2");

    assertThat(options.properties()).isEqualTo(Map.of("a", "1"));
    assertThat(options.property("a")).contains("1");
    assertThat(options.property("b")).isEmpty();
  }

  @Test
  void options_toString_keepsSecrets() {
    SourceOptions options = SourceOptions.builder().property("header", "Bearer secret").build();

    assertThat(options.toString()).contains("header").doesNotContain("secret");
  }

  @Test
  void options_noTime_isRefused() {
    assertThatThrownBy(() -> SourceOptions.builder().timeout(Duration.ZERO))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void statistics_hitRatio_isShareOfReads() {
    assertThat(statistics(0, 0).hitRatio()).isEqualTo(1);
    assertThat(statistics(8, 6).hitRatio()).isEqualTo(0.75);
  }

  private static DeviceStatistics statistics(long reads, long hits) {
    return new DeviceStatistics(reads, 0, hits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  }

  @Test
  void transports_placeNobodyAccepts_isNamed() {
    assertThatThrownBy(() -> DeviceTransports.attach(null, "carrier-pigeon:1", Map.of()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no transport for 'carrier-pigeon:1'");
  }
}
