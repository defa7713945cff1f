/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringWriter;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The documentation keeps its word: its example compiles, its links lead somewhere. */
@Timeout(60)
class DocumentationTest {

  private static final Path ROOT = Path.of("").toAbsolutePath().getParent();
  private static final Pattern JAVA_BLOCK = Pattern.compile("```java\n(.*?)```", Pattern.DOTALL);
  private static final Pattern LINK = Pattern.compile("\\]\\(([^)#]+)(#[^)]*)?\\)");

  @TempDir Path directory;

  @Test
  void readme_example_compilesAndIsTenLines() throws IOException {
    Matcher block = JAVA_BLOCK.matcher(Files.readString(ROOT.resolve("README.md")));
    assertThat(block.find()).isTrue();
    List<String> imports = new ArrayList<>();
    List<String> body = new ArrayList<>();
    block.group(1).lines().forEach(line -> (line.startsWith("import ") ? imports : body).add(line));

    assertThat(block.group(1).lines().filter(line -> !line.isBlank())).hasSizeLessThanOrEqualTo(10);
    String program =
        String.join("\n", imports)
            + "\nclass Readme { static void run() throws Exception {\n"
            + String.join("\n", body)
            + "\n} }\n";
    assertThat(compile(program)).as(program).isEmpty();
  }

  private String compile(String program) {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StringWriter messages = new StringWriter();
    List<String> options =
        List.of(
            "-d",
            directory.toString(),
            "-proc:none",
            "-classpath",
            System.getProperty("java.class.path"));
    SimpleJavaFileObject source =
        new SimpleJavaFileObject(
            URI.create("string:///Readme.java"), javax.tools.JavaFileObject.Kind.SOURCE) {
          @Override
          public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return program;
          }
        };
    compiler.getTask(messages, null, null, options, null, List.of(source)).call();
    return messages.toString();
  }

  @Test
  void links_inEveryPage_leadToFiles() throws IOException {
    List<String> broken = new ArrayList<>();
    for (Path page : pages()) {
      Matcher link = LINK.matcher(Files.readString(page));
      while (link.find()) {
        boolean local = !link.group(1).contains("://");
        if (local && !Files.exists(page.resolveSibling(link.group(1)))) {
          broken.add(ROOT.relativize(page) + ": " + link.group(1));
        }
      }
    }
    assertThat(broken).isEmpty();
  }

  @Test
  void index_everyPageInDocs_isListed() throws IOException {
    String index = Files.readString(ROOT.resolve("docs/README.md"));
    for (Path page : pages()) {
      String name = page.getFileName().toString();
      if (page.getParent().endsWith("docs") && !name.equals("README.md")) {
        assertThat(index).as("docs/README.md lists %s", name).contains("(" + name + ")");
      }
    }
  }

  @Test
  void nbdServer_everyProperty_isListed() throws IOException {
    String source =
        Files.readString(
            ROOT.resolve("uloop-nbd-transport/src/main/java/io/uloop/nbd/NbdTransport.java"));
    String cases = source.substring(source.indexOf("switch (name)"), source.indexOf("default ->"));
    String page = Files.readString(ROOT.resolve("docs/nbd-protocol.md"));
    List<String> names =
        Pattern.compile("\"([a-z-]+)\"").matcher(cases).results().map(m -> m.group(1)).toList();
    assertThat(names).hasSizeGreaterThan(9);
    for (String name : names) {
      assertThat(page).as("docs/nbd-protocol.md").contains("| `" + name + "` |");
    }
  }

  private static List<Path> pages() throws IOException {
    try (Stream<Path> top = Files.list(ROOT);
        Stream<Path> docs = Files.list(ROOT.resolve("docs"))) {
      return Stream.concat(top, docs).filter(file -> file.toString().endsWith(".md")).toList();
    }
  }
}
