/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The published modules, used as modules: by a program on the module path in a JVM of its own. */
@Timeout(60)
class ModulePathTest {

  private static final String MODULE =
      """
      module probe {
        requires io.uloop;
        requires io.uloop.core;
      }
      """;

  private static final String PROGRAM =
      """
      package probe;

      import io.uloop.*;
      import io.uloop.core.*;
      import java.nio.ByteBuffer;
      import java.nio.file.Path;

      public class Main {
        public static void main(String[] args) throws Exception {
          for (String scheme : new String[] {"http", "https", "file", "dev"}) {
            BlockSourceProvider provider = BlockSources.installed().provider(scheme);
            if (!provider.getClass().getModule().isNamed()) {
              throw new AssertionError(scheme + " comes from the class path");
            }
          }
          BlockSource source = BlockSources.installed().open(args[0], SourceOptions.defaults());
          CachePair pair = new CachePair(Path.of(args[0] + ".cache"), Path.of(args[0] + ".bitmap"));
          try (CachedDevice device = CachedDevice.builder(source).pair(pair).open()) {
            ByteBuffer word = ByteBuffer.allocate(5);
            device.read(0, word);
            System.out.println(new String(word.array(), "US-ASCII"));
          }
        }
      }
      """;

  @TempDir Path directory;

  @Test
  void open_fileOnTheModulePath_findsItsProvider() throws Exception {
    Path sources = directory.resolve("src");
    Files.createDirectories(sources.resolve("probe"));
    Files.writeString(sources.resolve("module-info.java"), MODULE);
    Files.writeString(sources.resolve("probe/Main.java"), PROGRAM);
    Path image = Files.writeString(directory.resolve("image"), "uloop and more");
    String modulePath = modulePath();

    java(
        "javac",
        "-d",
        directory + "/probe",
        "--module-path",
        modulePath,
        sources + "/module-info.java",
        sources + "/probe/Main.java");
    String output =
        java(
            "java",
            "--module-path",
            modulePath + File.pathSeparator + directory + "/probe",
            "--module",
            "probe/probe.Main",
            image.toString());

    assertThat(output.strip()).endsWith("uloop");
  }

  private static final Pattern TEST_ONLY =
      Pattern.compile(
          ".*(/examples/target/classes|/test-classes|-tests\\.jar|/junit-[^/]*|/assertj-[^/]*"
              + "|/opentest4j-[^/]*|/apiguardian-[^/]*|/byte-buddy-[^/]*)");

  /** The class path of this test without the tests, their tools and this module. */
  private static String modulePath() {
    return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
        .filter(entry -> !TEST_ONLY.matcher(entry).matches())
        .collect(Collectors.joining(File.pathSeparator));
  }

  private String java(String tool, String... args) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", tool).toString());
    command.addAll(Arrays.asList(args));
    Path output = directory.resolve(tool + ".out");
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    assertThat(process.waitFor(50, TimeUnit.SECONDS)).as("%s ends", tool).isTrue();
    String text = Files.readString(output, UTF_8);
    assertThat(process.exitValue()).as("%s: %s", String.join(" ", command), text).isZero();
    return text;
  }
}
