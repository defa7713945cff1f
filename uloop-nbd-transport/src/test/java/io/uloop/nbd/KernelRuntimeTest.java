/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The directories of attachments: whose are removed, and when. */
@Timeout(30)
class KernelRuntimeTest {

  /** One as it was made when the process was a file in it. */
  private static Path abandoned(Path base, long pid) throws IOException {
    Path directory = Files.createTempDirectory(base, "attach-test");
    Files.writeString(directory.resolve("pid"), Long.toString(pid));
    Files.createFile(directory.resolve("sock"));
    return directory;
  }

  private static long pidOfADeadProcess() throws IOException, InterruptedException {
    Process process = new ProcessBuilder("true").start();
    process.waitFor();
    return process.pid();
  }

  @Test
  void create_leftByDeadAndLivingProcesses_removesThoseOfTheDead() throws Exception {
    try (KernelRuntime first = KernelRuntime.create()) {
      Path base = Path.of(first.socketPath()).getParent().getParent();
      Path dead = abandoned(base, pidOfADeadProcess());
      Path alive = abandoned(base, ProcessHandle.current().pid());
      Path unsaid = Files.createTempDirectory(base, "attach-test");
      // One that still says who served a device.
      Path served = abandoned(base, pidOfADeadProcess());
      Path link = Files.createSymbolicLink(base.resolve("nbd-of-test"), served.getFileName());

      try (KernelRuntime second = KernelRuntime.create()) {
        assertThat(dead).doesNotExist();
        assertThat(alive).isDirectory();
        assertThat(unsaid).isDirectory();
        assertThat(served).isDirectory();
        assertThat(Path.of(second.socketPath()).getParent()).isDirectory();
      } finally {
        Files.delete(link);
        Files.delete(unsaid);
        for (Path left : new Path[] {alive, served}) {
          Files.delete(left.resolve("sock"));
          Files.delete(left.resolve("pid"));
          Files.delete(left);
        }
      }
    }
  }

  @Test
  void create_leftBeforeOrAfterAnythingWasInIt_isRemovedByItsName() throws Exception {
    try (KernelRuntime first = KernelRuntime.create()) {
      Path own = Path.of(first.socketPath()).getParent();
      String prefix = "attach-" + ProcessHandle.current().pid() + "-";
      assertThat(own.getFileName().toString()).startsWith(prefix);
      assertThat(own).isEmptyDirectory();
      Path dead =
          Files.createDirectory(own.resolveSibling("attach-" + pidOfADeadProcess() + "-123"));
      Path alive = Files.createDirectory(own.resolveSibling(prefix + "123"));

      try (KernelRuntime second = KernelRuntime.create()) {
        assertThat(dead).doesNotExist();
        assertThat(alive).isDirectory();
        assertThat(own).isDirectory();
        assertThat(Path.of(second.socketPath()).getParent()).isDirectory();
      } finally {
        Files.delete(alive);
      }
    }
  }

  @Test
  void server_ofPublishedDevice_isTheProcessInEitherForm() throws Exception {
    long dead = pidOfADeadProcess();
    try (KernelRuntime runtime = KernelRuntime.create()) {
      runtime.publish("nbd-of-test");
      assertThat(KernelRuntime.server("nbd-of-test")).contains("" + ProcessHandle.current().pid());
      assertThat(KernelRuntime.isAbandoned("nbd-of-test")).isFalse();

      Path older = abandoned(Path.of(runtime.socketPath()).getParent().getParent(), dead);
      Path link = Files.createSymbolicLink(older.resolveSibling("nbd-older"), older.getFileName());
      assertThat(KernelRuntime.server("nbd-older")).contains("" + dead);
      assertThat(KernelRuntime.isAbandoned("nbd-older")).isTrue();
      runtime.publish("nbd-older");
      assertThat(older).doesNotExist();
      assertThat(KernelRuntime.isAbandoned("nbd-older")).isFalse();
      Files.delete(link);
      Files.delete(link.resolveSibling("nbd-of-test"));
    }
    assertThat(KernelRuntime.server("nbd-of-test")).isEmpty();
    assertThat(KernelRuntime.isAbandoned("nbd-of-test")).isFalse();
  }

  @Test
  void create_directory_isForItsOwnerOnlyAndGoesWithClose() throws Exception {
    Path directory;
    try (KernelRuntime runtime = KernelRuntime.create()) {
      directory = Path.of(runtime.socketPath()).getParent();
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(directory)))
          .isEqualTo("rwx------");
    }
    assertThat(directory).doesNotExist();
  }
}
