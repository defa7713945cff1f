/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class KernelMemoryTest {

  @Test
  void onFlusherThread_interrupted_givesWhatWasStartedAllTheSame() throws Exception {
    Thread.currentThread().interrupt();
    try {
      Object started = new Object();

      assertThat(KernelMemory.onFlusherThread(NativeCalls.load(), () -> started)).isSameAs(started);
    } finally {
      assertThat(Thread.interrupted()).isTrue();
    }
  }
}
