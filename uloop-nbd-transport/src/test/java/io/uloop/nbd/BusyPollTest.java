/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.netty.buffer.UnpooledByteBufAllocator;
import io.uloop.TestSeed;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.nio.channels.SelectionKey;
import java.time.Duration;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class BusyPollTest {

  private static final long SHORT = 10;
  private static final long LONG = 1_000_000;

  private final BusyPoll poll = new BusyPoll(50);

  /** Waits that each bring as many reads, after sleeps of a length; tells how many were polled. */
  private int waits(int count, int reads, long asleep) {
    int polls = 0;
    for (int i = 0; i < count; i++) {
      for (int read = 0; read < reads; read++) {
        poll.answered();
      }
      if (poll.pays()) {
        polls++;
        poll.ended(true, SHORT);
      } else {
        poll.slept(asleep);
      }
    }
    return polls;
  }

  @Test
  void oneReadAtATime_isPolledForAfterAStreak() {
    assertThat(waits(15, 1, SHORT)).isZero();
    assertThat(waits(100, 1, SHORT)).isEqualTo(100);
  }

  @Test
  void severalReadsAtATime_areNotPolledFor() {
    waits(100, 1, SHORT);

    assertThat(waits(100, 2, SHORT)).isZero();
    assertThat(waits(15, 1, SHORT)).isZero();
  }

  @Test
  void otherWork_isNotPolledFor() {
    assertThat(waits(100, 0, SHORT)).isZero();
  }

  @Test
  void longWaits_areNotPolledFor() {
    assertThat(waits(100, 1, LONG)).isZero();
  }

  @Test
  void pollsInVain_becomeRare() {
    waits(16, 1, SHORT);
    int vain = 0;
    for (int i = 0; i < 1000; i++) {
      poll.answered();
      if (poll.pays()) {
        vain++;
        poll.ended(false, 50);
      }
      poll.slept(SHORT);
    }
    assertThat(vain).isBetween(10, 25);
  }

  @Test
  void pollsInWhichOthersHadTheProcessor_becomeRare() {
    waits(16, 1, SHORT);
    int slow = 0;
    for (int i = 0; i < 1000; i++) {
      poll.answered();
      if (poll.pays()) {
        slow++;
        poll.ended(true, 3_000);
      }
      poll.slept(SHORT);
    }
    assertThat(slow).isBetween(10, 25);
  }

  @Test
  void timeOfZero_turnsItOff() {
    BusyPoll off = new BusyPoll(0);
    for (int i = 0; i < 100; i++) {
      off.answered();
      assertThat(off.pays()).isFalse();
      off.slept(0);
    }
  }

  @Test
  void timeOutOfRange_isRefused() {
    NbdServerConfig.Builder builder = NbdServerConfig.builder();

    assertThatThrownBy(() -> builder.busyPoll(Duration.ofMillis(2)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("PT0.002S");
    assertThatThrownBy(() -> builder.busyPoll(Duration.ofNanos(-1)))
        .isInstanceOf(IllegalArgumentException.class);
  }

  /** A loop that polls, sleeps, or is about to: a task from outside must be seen each time. */
  @Test
  void tasksFromOutside_areRunWhateverTheLoopDoes() throws Exception {
    Random random = TestSeed.random("BusyPollTest");
    BusyPoll generous = new BusyPoll(TimeUnit.MILLISECONDS.toNanos(1));
    EventLoop loop = new EventLoop(UnpooledByteBufAllocator.DEFAULT, generous);
    Pipe pipe = Pipe.open();
    Semaphore read = new Semaphore(0);
    pipe.source().configureBlocking(false);
    ByteBuffer one = ByteBuffer.allocate(1);
    pipe.source()
        .register(
            loop.selector(),
            SelectionKey.OP_READ,
            (EventLoop.Selectable)
                () -> {
                  pipe.source().read(one.clear());
                  loop.answeredAtOnce();
                  read.release();
                });
    Thread thread = new Thread(loop, "busy-poll-test");
    thread.start();

    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    for (int round = 0; round < 500 || (round < 20_000 && System.nanoTime() < end); round++) {
      pipe.sink().write(ByteBuffer.allocate(1));
      assertThat(read.tryAcquire(20, TimeUnit.SECONDS)).isTrue();
      if (random.nextInt(4) == 0) {
        for (int spins = random.nextInt(3000); spins > 0; spins--) {
          Thread.onSpinWait();
        }
        CountDownLatch ran = new CountDownLatch(1);
        loop.execute(ran::countDown);
        assertThat(ran.await(20, TimeUnit.SECONDS)).as("round %d", round).isTrue();
      }
    }
    loop.execute(loop::stop);
    thread.join(20_000);
    assertThat(thread.isAlive()).isFalse();
    pipe.sink().close();
    pipe.source().close();
  }
}
