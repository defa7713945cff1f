/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.PrintWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Enumeration;
import java.util.List;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A plug-in that cannot be used takes no other with it. */
@Timeout(60)
class PluginsTest {

  private static final List<String> SERVICES =
      List.of(BlockSourceProvider.class.getName(), DeviceTransport.class.getName());

  /** Each is a source and a transport. */
  private static final String PLUGIN =
      """
      package p;
      public class NAME EXTENDS implements io.uloop.BlockSourceProvider, io.uloop.DeviceTransport {
        CONSTRUCTOR
        public java.util.Set<String> schemes() { QUESTION return java.util.Set.of("NAME"); }
        public boolean accepts(String place) { QUESTION return place.equals("NAME"); }
        public io.uloop.BlockSource open(java.net.URI uri, io.uloop.SourceOptions options) {
          throw new IllegalStateException("NAME was asked");
        }
        public Attachment attach(
            io.uloop.BlockDevice device, String place, java.util.Map<String, String> properties) {
          throw new IllegalStateException("NAME was asked");
        }
      }
      """;

  @TempDir private Path directory;
  private URLClassLoader loader;

  @BeforeEach
  void compile() throws Exception {
    source("base", "", "", "");
    source("incomplete", "extends base", "", "");
    source("newer", "", "", "");
    source("throwing", "", "", "if (true) throw new AssertionError();");
    source("closed", "", "private closed(int none) {}", "");
    source("failing", "", "static final int NONE = Integer.parseInt(\"\");", "");
    source("good", "", "", "");
    PrintWriter out = new PrintWriter(System.out, true);
    Path api =
        Path.of(BlockSource.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    String[] arguments = {
      "-proc:none",
      "-nowarn",
      "-classpath",
      api.toString(),
      "-sourcepath",
      directory.toString(),
      directory.resolve("p/incomplete.java").toString(),
      directory.resolve("p/newer.java").toString(),
      directory.resolve("p/throwing.java").toString(),
      directory.resolve("p/closed.java").toString(),
      directory.resolve("p/failing.java").toString(),
      directory.resolve("p/good.java").toString()
    };
    assertThat(ToolProvider.findFirst("javac").orElseThrow().run(out, out, arguments)).isZero();
    Files.delete(directory.resolve("p/base.class"));
    Path newer = directory.resolve("p/newer.class");
    byte[] bytes = Files.readAllBytes(newer);
    bytes[7] = 120; // the major version
    Files.write(newer, bytes);
    loader = new URLClassLoader(new URL[] {directory.toUri().toURL()}, getClass().getClassLoader());
  }

  private void source(String name, String parent, String constructor, String question)
      throws IOException {
    Files.createDirectories(directory.resolve("p"));
    Files.writeString(
        directory.resolve("p/" + name + ".java"),
        PLUGIN
            .replace("NAME", name)
            .replace("EXTENDS", parent)
            .replace("CONSTRUCTOR", constructor)
            .replace("QUESTION", question));
  }

  private void declare(String... names) throws IOException {
    Path services = Files.createDirectories(directory.resolve("META-INF/services"));
    for (String service : SERVICES) {
      Files.writeString(services.resolve(service), "p." + String.join("\np.", names) + "\n");
    }
  }

  @AfterEach
  void close() throws IOException {
    loader.close();
  }

  private void open(String scheme) throws IOException {
    BlockSources.in(loader).open(scheme + ":x", SourceOptions.defaults()).close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"missing", "incomplete", "newer", "throwing", "closed", "failing"})
  void open_brokenPluginBeside_isLeftOutAndNamedIfNothingFits(String broken) throws IOException {
    declare(broken, "good", broken);

    assertThatThrownBy(() -> open("good")).hasMessage("good was asked");
    assertThatThrownBy(() -> open("other"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no source for scheme 'other'; there are [good]")
        .hasMessageContaining("p." + broken)
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
  }

  @ParameterizedTest
  @ValueSource(strings = {"missing", "incomplete", "newer", "throwing", "closed", "failing"})
  void attach_brokenPluginBeside_isLeftOutAndNamedIfNothingFits(String broken) throws IOException {
    declare(broken, "good");

    assertThat(DeviceTransports.of("good", loader).getClass().getName()).isEqualTo("p.good");
    assertThatThrownBy(() -> DeviceTransports.of("other", loader))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("no transport for 'other'; there are ")
        .hasMessageContaining("p.good")
        .hasMessageContaining("p." + broken)
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
  }

  @Test
  void open_allBroken_namesEach() throws IOException {
    declare("missing", "incomplete", "newer", "throwing", "closed", "failing");

    assertThatThrownBy(() -> open("good"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("there are []")
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(6));
  }

  @Test
  void each_loaderThatAlwaysFails_isGivenUp() {
    ClassLoader failing =
        new ClassLoader(getClass().getClassLoader()) {
          @Override
          public Enumeration<URL> getResources(String name) throws IOException {
            throw new IOException("always");
          }
        };

    assertThatThrownBy(() -> BlockSources.in(failing).open("good:x", SourceOptions.defaults()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("always")
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
    assertThatThrownBy(() -> DeviceTransports.of("good", failing))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("always");
  }
}
