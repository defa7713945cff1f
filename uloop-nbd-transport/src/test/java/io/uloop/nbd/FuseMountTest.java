/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class FuseMountTest {

  @Test
  void spawn_interrupted_givesTheChildAllTheSame() throws Exception {
    Thread.currentThread().interrupt();
    try {
      Process child = FuseMount.spawn(List.of("sleep", "60"), new CompletableFuture<>());

      assertThat(child.isAlive()).isTrue();
      child.destroy();
    } finally {
      assertThat(Thread.interrupted()).isTrue();
    }
  }
}
