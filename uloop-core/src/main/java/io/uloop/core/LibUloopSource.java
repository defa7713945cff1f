/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.BlockSource;
import io.uloop.ReadSink;
import io.uloop.SourceIdentity;
import io.uloop.SourceProtocolException;
import io.uloop.Validator;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/** A store function as a source. */
final class LibUloopSource implements BlockSource {

  private final LibUloop.Init init;
  private final LibUloop.Store store;

  LibUloopSource(LibUloop.Init init, LibUloop.Store store) {
    this.init = init;
    this.store = store;
  }

  @Override
  public long size() {
    return init.size();
  }

  @Override
  public SourceIdentity identity() {
    Optional<Validator> validator =
        init.generation().isEmpty()
            ? Optional.empty()
            : Optional.of(new Validator(Validator.Kind.OTHER, init.generation()));
    return new SourceIdentity("libuloop:store", init.size(), validator);
  }

  @Override
  public int parallelism() {
    return 8;
  }

  @Override
  public void read(long offset, ByteBuffer dst) throws IOException {
    if (dst.hasRemaining()) {
      read(offset, dst.remaining(), dst::put);
    }
  }

  @Override
  public void read(long offset, long length, ReadSink sink) throws IOException {
    LibUloop.CacheFile file = new LibUloop.CacheFile(offset, Math.toIntExact(length), sink);
    store.store(offset, Math.toIntExact(length), file);
    if (file.missing() > 0) {
      throw new SourceProtocolException(
          "the store function returned with %d of %d bytes at %d not written"
              .formatted(file.missing(), length, offset));
    }
  }

  /** Nothing to close: the function is the program's. */
  @Override
  public void close() {}
}
