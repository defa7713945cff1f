/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.examples;

import io.uloop.BlockSources;
import io.uloop.SourceOptions;
import io.uloop.core.CachePair;
import io.uloop.core.CachedDevice;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HexFormat;

/** Reads 512 bytes of a remote image, twice: the second time they come from the local disk. */
public final class ReadRemoteImage {

  private ReadRemoteImage() {}

  /**
   * Prints the sector.
   *
   * @param args the place of the image, and the offset of the sector
   * @throws IOException if it cannot be read
   */
  public static void main(String[] args) throws IOException {
    ByteBuffer sector = ByteBuffer.allocate(512);
    try (CachedDevice device =
        CachedDevice.builder(BlockSources.installed().open(args[0], SourceOptions.defaults()))
            .pair(CachePair.inUserCache(args[0]))
            .open()) {
      device.read(Long.parseLong(args[1]), sector);
      device.read(Long.parseLong(args[1]), sector.clear());
      System.out.println(HexFormat.of().formatHex(sector.array()));
      System.out.println("bytes fetched: " + device.statistics().bytesFetched());
    }
  }
}
