/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.Charset;
import org.jspecify.annotations.Nullable;

/** Standard output that can tell afterwards why it could not be written: a PrintStream cannot. */
final class StandardOutput {

  private final PrintStream stream;
  private final Noting noting;

  /**
   * Makes it.
   *
   * @param raw what throws if it cannot be written; no PrintStream, which keeps that to itself
   */
  StandardOutput(OutputStream raw) {
    noting = new Noting(raw);
    // As that of System.out: the first is there since Java 19, the other always.
    String encoding =
        System.getProperty("stdout.encoding", System.getProperty("native.encoding", "UTF-8"));
    stream = new PrintStream(new BufferedOutputStream(noting), false, Charset.forName(encoding));
  }

  /** Gives the stream to print to. */
  PrintStream stream() {
    return stream;
  }

  /**
   * Writes what is still to be written.
   *
   * @throws IOException if not all could be written, now or before
   */
  void finish() throws IOException {
    boolean incomplete = stream.checkError();
    IOException failure = noting.failure;
    if (failure != null) {
      throw new IOException("cannot write standard output: " + failure.getMessage(), failure);
    }
    if (incomplete) {
      throw new IOException("cannot write standard output");
    }
  }

  private static final class Noting extends OutputStream {

    private final OutputStream raw;
    private volatile @Nullable IOException failure;

    Noting(OutputStream raw) {
      this.raw = raw;
    }

    @Override
    public void write(int value) throws IOException {
      write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int length) throws IOException {
      try {
        raw.write(bytes, from, length);
      } catch (IOException e) {
        throw noted(e);
      }
    }

    @Override
    public void flush() throws IOException {
      try {
        raw.flush();
      } catch (IOException e) {
        throw noted(e);
      }
    }

    private IOException noted(IOException e) {
      if (failure == null) {
        failure = e;
      }
      return e;
    }
  }
}
