/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class UloopExceptionTest {

  private static final Throwable CAUSE = new IllegalStateException("cause");

  static Stream<Arguments> family() {
    return Stream.of(
        Arguments.of(new SourceUnavailableException("m", CAUSE), true, Errno.EIO),
        Arguments.of(new SourceRefusedException("m", CAUSE), false, Errno.EIO),
        Arguments.of(new SourceChangedException("m", CAUSE), false, Errno.EIO),
        Arguments.of(new SourceProtocolException("m", CAUSE), false, Errno.EIO),
        Arguments.of(new CacheInUseException("m", CAUSE), true, Errno.EIO),
        Arguments.of(new CacheMismatchException("m", CAUSE), false, Errno.EIO),
        Arguments.of(new CacheFormatException("m", CAUSE), false, Errno.EIO),
        Arguments.of(new CacheIoException("m", false, CAUSE), true, Errno.EIO),
        Arguments.of(new CacheIoException("m", true, CAUSE), true, Errno.ENOSPC),
        Arguments.of(new ReadOnlyException("m"), false, Errno.EPERM));
  }

  @Test
  void family_here_isAllThatIsPermitted() {
    Set<Class<?>> tested =
        family().map(each -> each.get()[0].getClass()).collect(Collectors.toSet());

    assertThat(tested).isEqualTo(Set.of(UloopException.class.getPermittedSubclasses()));
  }

  @ParameterizedTest
  @MethodSource("family")
  void retryableAndErrno_eachType_areAsItsTableSays(
      UloopException failure, boolean retryable, Errno errno) {
    assertThat(failure.retryable()).isEqualTo(retryable);
    assertThat(failure.errno()).isEqualTo(errno);
  }

  @ParameterizedTest
  @MethodSource("family")
  void copy_eachType_isTheSameWithThisAsCause(
      UloopException failure, boolean retryable, Errno errno) {
    UloopException copy = failure.copy();

    assertThat(copy).hasSameClassAs(failure).isNotSameAs(failure);
    assertThat(copy.getMessage()).isEqualTo(failure.getMessage());
    assertThat(copy.getCause()).isSameAs(failure);
    assertThat(copy.retryable()).isEqualTo(retryable);
    assertThat(copy.errno()).isEqualTo(errno);
  }
}
