/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.lang.module.Configuration;
import java.lang.module.ModuleFinder;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The module on a module path: it resolves, is found by its scheme, and opens. */
@Timeout(60)
final class HttpModuleTest {

  @Test
  void open_onTheModulePath_findsTheProvider() throws Exception {
    Path[] path =
        Stream.of(System.getProperty("java.class.path").split(File.pathSeparator, -1))
            .filter(
                entry ->
                    entry.endsWith("classes") && !entry.endsWith("test-classes")
                        || entry.matches(
                            ".*/(uloop-api-[^/]*(?<!tests)|http[^/]*|slf4j-api[^/]*)\\.jar"))
            .map(Path::of)
            .toArray(Path[]::new);
    ModuleLayer boot = ModuleLayer.boot();
    Configuration configuration =
        boot.configuration()
            .resolveAndBind(ModuleFinder.of(path), ModuleFinder.of(), Set.of("io.uloop.http"));
    ModuleLayer layer =
        boot.defineModulesWithOneLoader(configuration, ClassLoader.getPlatformClassLoader());
    Class<?> options = layer.findLoader("io.uloop").loadClass("io.uloop.SourceOptions");
    Class<?> sources = layer.findLoader("io.uloop").loadClass("io.uloop.BlockSources");
    Class<?> source = layer.findLoader("io.uloop").loadClass("io.uloop.BlockSource");

    try (LyingOrigin origin = LyingOrigin.serving(LyingOrigin.image(1, 12_345))) {
      Object opener =
          sources.getMethod("in", ClassLoader.class).invoke(null, layer.findLoader("io.uloop"));
      Object opened =
          sources
              .getMethod("open", String.class, options)
              .invoke(opener, origin.uri().toString(), options.getMethod("defaults").invoke(null));

      assertThat(opened.getClass().getModule().isNamed()).isTrue();
      assertThat(source.getMethod("size").invoke(opened)).isEqualTo(12_345L);
      source.getMethod("close").invoke(opened);
    }
  }
}
