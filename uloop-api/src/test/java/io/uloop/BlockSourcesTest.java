/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URL;
import java.net.URLConnection;
import java.net.URLStreamHandler;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Enumeration;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BlockSourcesTest {

  @Test
  void open_oneClaimant_isAsked() throws Exception {
    BlockSources sources = BlockSources.in(new Declaring(One.class));

    try (BlockSource source = sources.open("one:anything", SourceOptions.defaults())) {
      assertThat(source.size()).isEqualTo(1);
    }
  }

  @Test
  void open_schemeInCapitals_isTheSameScheme() throws Exception {
    BlockSources sources = BlockSources.in(new Declaring(One.class));

    try (BlockSource source = sources.open("ONE:anything", SourceOptions.defaults())) {
      assertThat(source.size()).isEqualTo(1);
    }
  }

  @Test
  void open_nobodyClaims_namesWhatThereIs() {
    BlockSources sources = BlockSources.in(new Declaring(One.class));

    assertThatThrownBy(() -> sources.open("two:x", SourceOptions.defaults()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("no source for scheme 'two'; there are [one]");
  }

  @Test
  void open_twoClaim_namesBoth() {
    BlockSources sources = BlockSources.in(new Declaring(One.class, AnotherOne.class));

    assertThatThrownBy(() -> sources.open("one:x", SourceOptions.defaults()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(One.class.getName())
        .hasMessageContaining(AnotherOne.class.getName());
  }

  @Test
  void open_providerDeclaredTwice_isOneClaimant() throws Exception {
    BlockSources sources = BlockSources.in(new Declaring(One.class, One.class));

    try (BlockSource source = sources.open("one:x", SourceOptions.defaults())) {
      assertThat(source.size()).isEqualTo(1);
    }
  }

  @Test
  void open_brokenProviderBeside_doesNotMatter() throws Exception {
    BlockSources sources = BlockSources.in(new Declaring("no.such.Provider", One.class.getName()));

    try (BlockSource source = sources.open("one:x", SourceOptions.defaults())) {
      assertThat(source.size()).isEqualTo(1);
    }
  }

  @Test
  void open_brokenProviderAlone_isSuppressedInTheError() {
    BlockSources sources = BlockSources.in(new Declaring("no.such.Provider"));

    assertThatThrownBy(() -> sources.open("one:x", SourceOptions.defaults()))
        .isInstanceOf(IllegalArgumentException.class)
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
  }

  @Test
  void open_uriWithoutScheme_isRefusedWithoutItsSecrets() {
    assertThatThrownBy(
            () ->
                BlockSources.installed()
                    .open(URI.create("//me:secret@host/x"), SourceOptions.defaults()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("//host/x")
        .hasMessageNotContaining("secret");
  }

  @Test
  void toUri_barePath_isAnAbsoluteFileUri() {
    assertThat(BlockSources.toUri("/dev/sda")).isEqualTo(URI.create("file:/dev/sda"));
    assertThat(BlockSources.toUri("a/../my image.img").getPath())
        .isEqualTo(Path.of("my image.img").toAbsolutePath().toString());
  }

  @ParameterizedTest
  @ValueSource(strings = {"http://host/a.img", "nbd+unix:///x?socket=/run/s", "dev:/dev/sda"})
  void toUri_withScheme_isLeftAlone(String place) {
    assertThat(BlockSources.toUri(place)).hasToString(place);
  }

  @Test
  void toUri_notAUri_saysWhereWithoutSecrets() {
    assertThatThrownBy(() -> BlockSources.toUri("http://me:secret@host/a b"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("http://host/a b")
        .hasMessageNotContaining("secret");
    assertThatThrownBy(() -> BlockSources.toUri("")).isInstanceOf(IllegalArgumentException.class);
  }

  // A password or signature that nobody encoded is the likely reason for a place to be no URI.
  @ParameterizedTest
  @CsvSource({
    "https://host/i.img?X-Sig=SECRET^1, https://host/i.img?…",
    "https://host/i.img?a=b@SECRET^1, https://host/i.img?…",
    "https://host/i.img#SECRET^1, https://host/i.img",
    "https://me:SECRET^1@host/i.img?x, https://host/i.img?…",
    "https://me:SECRET^/1@host/i.img, https://host/i.img",
    "https://me:SECRET^?1@host/i.img, https://…",
    "https://me:SECRET^#1@host/i.img, https://…",
    "'https://host/i.img?X-Sig=SECRET\n', https://host/i.img?…"
  })
  void toUri_secretsThatAreNoUri_areInNeitherMessageNorCause(String place, String shown) {
    assertThatThrownBy(() -> BlockSources.toUri(place.replace("\\n", "\n")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("not a URI: " + shown + " (")
        .hasNoCause()
        .hasMessageNotContaining("SECRET");
  }

  @ParameterizedTest
  @CsvSource({
    "http://host/a.img, http://host/a.img",
    "http://me:secret@host:81/a.img, http://host:81/a.img",
    "https://host/a.img?X-Signature=secret, https://host/a.img?…",
    "https://host/a.img#secret, https://host/a.img",
    "http://me:secret@host, http://host",
    "http://host/me@home, http://host/me@home",
    "file:/a/b, file:/a/b"
  })
  void withoutSecrets_anyUri_keepsOnlyThePlace(String uri, String shown) {
    assertThat(BlockSources.withoutSecrets(URI.create(uri))).isEqualTo(shown);
  }

  /** Claims {@code one}. */
  public static class One implements BlockSourceProvider {
    @Override
    public Set<String> schemes() {
      return Set.of("one");
    }

    @Override
    public BlockSource open(URI uri, SourceOptions options) {
      return new MemorySource(new byte[1]);
    }
  }

  /** Claims {@code one} too. */
  public static final class AnotherOne extends One {}

  /** A class loader whose service file names the given providers. */
  private static final class Declaring extends ClassLoader {
    private final String names;

    Declaring(Class<?>... providers) {
      this(java.util.Arrays.stream(providers).map(Class::getName).toArray(String[]::new));
    }

    Declaring(String... names) {
      super(Declaring.class.getClassLoader());
      this.names = String.join("\n", names);
    }

    @Override
    public Enumeration<URL> getResources(String name) throws IOException {
      if (!name.equals("META-INF/services/" + BlockSourceProvider.class.getName())) {
        return super.getResources(name);
      }
      return Collections.enumeration(Set.of(new URL(null, "text:services", new Text(names))));
    }
  }

  private static final class Text extends URLStreamHandler {
    private final String text;

    Text(String text) {
      this.text = text;
    }

    @Override
    protected URLConnection openConnection(URL url) {
      return new URLConnection(url) {
        @Override
        public void connect() {}

        @Override
        public InputStream getInputStream() {
          return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
        }
      };
    }
  }
}
