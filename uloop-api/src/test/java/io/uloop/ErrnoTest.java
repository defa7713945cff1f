/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ErrnoTest {

  static Stream<Arguments> failures() {
    return Stream.of(
        Arguments.of(new ReadOnlyException("x"), Errno.EPERM),
        Arguments.of(new CacheIoException("x", true, null), Errno.ENOSPC),
        Arguments.of(new IOException("x"), Errno.EIO),
        Arguments.of(new ClosedChannelException(), Errno.ESHUTDOWN),
        Arguments.of(new UnsupportedOperationException(), Errno.ENOTSUP),
        Arguments.of(new IllegalArgumentException(), Errno.EINVAL),
        Arguments.of(new IndexOutOfBoundsException(), Errno.EINVAL),
        Arguments.of(new OutOfMemoryError(), Errno.ENOMEM),
        Arguments.of(new NullPointerException(), Errno.EIO),
        Arguments.of(new CompletionException(new ReadOnlyException("x")), Errno.EPERM));
  }

  @ParameterizedTest
  @MethodSource("failures")
  void of_failure_isItsNumber(Throwable failure, Errno errno) {
    assertThat(Errno.of(failure)).isEqualTo(errno);
  }

  // The values of NetworkBlockDevice/nbd, doc/proto.md, "Error values".
  @ParameterizedTest
  @CsvSource({
    "EPERM,1",
    "EIO,5",
    "ENOMEM,12",
    "EINVAL,22",
    "ENOSPC,28",
    "EOVERFLOW,75",
    "ENOTSUP,95",
    "ESHUTDOWN,108"
  })
  void number_each_isThatOfTheProtocol(Errno errno, int number) {
    assertThat(errno.number()).isEqualTo(number);
  }
}
