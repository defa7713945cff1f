/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.core.CachePair;
import java.io.IOException;
import java.io.PrintStream;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code uloctl discard}: removes a pair. */
@Command(
    name = "discard",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description =
        "Removes a pair's files, and with them all that was read. Not while it is in use.")
final class CtlDiscard implements Callable<Integer> {

  private final PrintStream out;

  @Mixin CtlPair options = new CtlPair();

  CtlDiscard(PrintStream out) {
    this.out = out;
  }

  @Override
  public Integer call() throws IOException {
    CachePair pair = options.existing();
    pair.discard();
    out.println("removed " + pair.cacheFile() + " and " + pair.bitmapFile());
    out.flush();
    return LaunchCommand.EXIT_OK;
  }
}
