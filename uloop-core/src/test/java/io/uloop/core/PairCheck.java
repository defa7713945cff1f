/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.PatternSource;
import io.uloop.SourceIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.Optional;

/** Opens what a crash left of a pair of a {@link PatternSource}, and compares what it holds. */
final class PairCheck {

  private PairCheck() {}

  /**
   * Compares every present block with the source, and with its checksum if there is one.
   *
   * <p>The files are not mapped, so that their volume can be unmounted afterwards.
   *
   * @return the present blocks
   * @throws AssertionError if one is wrong
   * @throws IOException if the pair is refused
   */
  static BitSet rightBlocks(CachePair pair, long size, boolean checksums) throws IOException {
    SourceIdentity identity = new SourceIdentity("pattern:" + size, size, Optional.empty());
    Storage unmapped = new FaultStorage(new LocalStorage()).unmappable();
    PairOpener opener = new PairOpener(unmapped, pair, checksums, WhenDifferent.FAIL);
    try (PairFiles files = opener.open(identity, 0)) {
      Geometry geometry = files.geometry();
      BlockStore store = new BlockStore(files, null, () -> {});
      ByteBuffer block = ByteBuffer.allocate(geometry.blockSizeBytes());
      BitSet found = new BitSet();
      long blocks = geometry.blocks();
      for (long b = 0; (b = store.present().nextSet(b, blocks)) < blocks; b++) {
        long start = geometry.startOf(b);
        int length = (int) (geometry.endBefore(b + 1) - start);
        store.copy(start, block, 0, length);
        ByteBuffer right = ByteBuffer.wrap(PatternSource.bytes(start, length));
        if (block.clear().limit(length).mismatch(right) >= 0) {
          throw new AssertionError(
              pair.cacheFile() + ": the bit of block " + b + " is set, its data is wrong");
        }
        found.set((int) b);
      }
      BlockVerifier verifier = store.verifier();
      long bad = verifier == null ? -1 : verifier.verify(0, blocks, store::setReady);
      if (bad >= 0) {
        throw new AssertionError(
            pair.cacheFile() + ": the checksum of block " + bad + " is wrong or missing");
      }
      return found;
    }
  }
}
