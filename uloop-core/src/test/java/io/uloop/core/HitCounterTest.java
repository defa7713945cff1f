/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class HitCounterTest {

  @Test
  void moreThreadsThanStripes_loseNoCount() throws InterruptedException {
    HitCounter counter = new HitCounter();
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      Thread thread =
          new Thread(
              () -> {
                for (int n = 0; n < 10_000; n++) {
                  counter.add(3);
                }
              },
              "test-" + i);
      threads.add(thread);
      thread.start();
    }
    for (Thread thread : threads) {
      thread.join();
    }

    assertThat(counter.hits()).isEqualTo(2_000_000);
    assertThat(counter.bytes()).isEqualTo(6_000_000);
  }
}
