/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * An export as a file: nbdfuse, of libnbd, as a child process.
 *
 * <p>A thread, {@code uloop-fuse}, starts the child, reads what it says, and waits for its end. It
 * has to be that thread: the child asks for a signal when its parent dies (setpriv --pdeathsig, of
 * util-linux), and for the kernel the parent is the thread. Reading never stops: nbdfuse says a
 * line for every operation that fails, and with a full pipe all its threads would stand still.
 *
 * <p><b>Source:</b> nbdfuse(1), setpriv(1), setsid(1), prctl(2) under PR_SET_PDEATHSIG.
 */
final class FuseMount {

  private static final System.Logger LOG = System.getLogger(FuseMount.class.getName());

  private static final Duration READY = Duration.ofSeconds(20);
  private static final long END_SECONDS = 5;

  /** From {@code sys/mount.h}. */
  static final int MNT_DETACH = 2;

  private static final int MOST_ERROR_BYTES = 4096;

  private final NativeCalls calls;
  private final Path mountPoint;
  private final Process child;

  /** The last that the child says on standard error, there when it has ended. */
  private final CompletableFuture<String> words;

  private FuseMount(
      NativeCalls calls, Path mountPoint, Process child, CompletableFuture<String> words) {
    this.calls = calls;
    this.mountPoint = mountPoint;
    this.child = child;
    this.words = words;
  }

  /** Fails if a program that is needed, or the kernel's half of it, is not there. */
  static void check() throws IOException {
    List<String> missing = new ArrayList<>();
    for (String program : List.of("setpriv", "setsid", "nbdfuse")) {
      if (!isOnPath(program)) {
        missing.add(program);
      }
    }
    if (!Files.exists(Path.of("/dev/fuse"))) {
      missing.add("/dev/fuse");
    }
    if (!missing.isEmpty()) {
      throw new IOException(
          "a loop device needs what is not here: "
              + String.join(", ", missing)
              + " (Debian: util-linux, libnbd-bin, fuse3)");
    }
  }

  private static boolean isOnPath(String program) {
    String path = System.getenv().getOrDefault("PATH", "/usr/bin:/bin");
    for (String directory : path.split(":", -1)) {
      if (Files.isExecutable(Path.of(directory, program))) {
        return true;
      }
    }
    return false;
  }

  /**
   * Mounts an export.
   *
   * @param server where it is
   * @param mountPoint an empty directory
   * @param readOnly whether the file is
   * @param connections how many to the server
   * @throws IOException if nbdfuse is missing, or does not come up
   */
  static FuseMount start(KernelUnixLinks server, Path mountPoint, boolean readOnly, int connections)
      throws IOException {
    List<String> command =
        new ArrayList<>(
            // In a session of its own: Ctrl-C in a terminal is for who attaches, and detaches
            // first.
            List.of("setpriv", "--pdeathsig", "TERM", "setsid", "nbdfuse", "-C", "" + connections));
    if (readOnly) {
      command.add("-r");
    }
    command.addAll(List.of(mountPoint.resolve("disk").toString(), uri(server)));
    CompletableFuture<String> words = new CompletableFuture<>();
    Process child = spawn(command, words);
    FuseMount mount = new FuseMount(server.calls(), mountPoint, child, words);
    try {
      boolean ready = KernelPoll.until(READY, () -> Files.exists(mount.file()) || !child.isAlive());
      if (!ready || !child.isAlive()) {
        throw new IOException(
            "nbdfuse does not come up (packages libnbd-bin and fuse3, and /dev/fuse, are needed): "
                + mount.lastWords());
      }
      return mount;
    } catch (IOException e) {
      try {
        mount.close(Duration.ZERO);
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      throw e;
    }
  }

  /** Source: NetworkBlockDevice/nbd, doc/uri.md. */
  private static String uri(KernelUnixLinks server) throws IOException {
    try {
      String path = Path.of(server.socketPath()).toAbsolutePath().toString();
      String export = new URI(null, null, "/" + server.exportName(), null).toASCIIString();
      // The socket's path is a value of a query: there, more has to be escaped.
      String socket = URLEncoder.encode(path, StandardCharsets.UTF_8).replace("+", "%20");
      return "nbd+unix://" + export + "?socket=" + socket;
    } catch (URISyntaxException e) {
      throw new IOException("no name for an export: " + server.exportName(), e);
    }
  }

  static Process spawn(List<String> command, CompletableFuture<String> words) throws IOException {
    CompletableFuture<Process> started = new CompletableFuture<>();
    Thread parent =
        new Thread(
            () -> {
              try {
                Process child =
                    new ProcessBuilder(command)
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
                started.complete(child);
                words.complete(readToTheEnd(child.getErrorStream()));
                child.waitFor(); // Ending before it would end it.
              } catch (IOException | InterruptedException | RuntimeException | Error e) {
                started.completeExceptionally(e);
              }
            },
            "uloop-fuse");
    parent.setDaemon(true);
    parent.start();
    try {
      return started.join(); // Whatever comes: the child would have nobody to end it.
    } catch (CompletionException e) {
      throw new IOException("cannot run " + command.get(0) + ": " + e.getCause(), e);
    }
  }

  /** Reads all there is until the end, and gives the last of it. */
  private static String readToTheEnd(InputStream in) {
    byte[] last = new byte[MOST_ERROR_BYTES];
    byte[] next = new byte[MOST_ERROR_BYTES];
    int held = 0;
    try {
      for (int count = in.read(next); count >= 0; count = in.read(next)) {
        int kept = Math.min(held, last.length - count);
        System.arraycopy(last, held - kept, last, 0, kept);
        System.arraycopy(next, 0, last, kept, count);
        held = kept + count;
      }
    } catch (IOException e) {
      LOG.log(System.Logger.Level.DEBUG, "nbdfuse cannot be heard any more", e);
    }
    return new String(last, 0, held, StandardCharsets.UTF_8);
  }

  /** Gives the file that the export appears as. */
  Path file() {
    return mountPoint.resolve("disk");
  }

  boolean isRunning() {
    return child.isAlive();
  }

  /** Gives what the child said at its end, and how it ended. */
  String lastWords() {
    if (child.isAlive()) {
      return "no answer";
    }
    String said;
    try {
      said = words.get(END_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      said = "";
    } catch (ExecutionException | TimeoutException e) {
      said = ""; // Somebody else has its standard error and lives on.
    }
    return said.strip().replace('\n', ' ') + " (exit " + child.exitValue() + ")";
  }

  /**
   * Unmounts, waiting a while for who has the file open, and ends the child.
   *
   * <p>If it stays open, the mount is taken from the tree and ends with its last user.
   */
  void close(Duration limit) throws IOException {
    try {
      if (!KernelPoll.until(limit, () -> tryUnmount(0))) {
        LOG.log(System.Logger.Level.WARNING, () -> mountPoint + ": still open, detached lazily");
        tryUnmount(MNT_DETACH);
      }
    } finally {
      end();
    }
  }

  private boolean tryUnmount(int flags) throws IOException {
    try {
      calls.umount2(mountPoint.toString(), flags);
      return true;
    } catch (NativeException e) {
      if (e.errno() == NativeException.EBUSY) {
        return false;
      }
      if (e.errno() == NativeException.EINVAL) {
        return true; // it is no mount (any more)
      }
      throw e;
    }
  }

  /** Ends the child. What a killed one leaves of a mount would answer nobody. */
  private void end() throws IOException {
    if (!endsByItself()) {
      child.destroyForcibly();
      child.onExit().completeOnTimeout(child, END_SECONDS, TimeUnit.SECONDS).join();
      tryUnmount(MNT_DETACH);
    }
  }

  private boolean endsByItself() {
    try {
      return child.waitFor(END_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
