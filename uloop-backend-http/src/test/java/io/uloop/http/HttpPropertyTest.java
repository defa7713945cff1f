/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.uloop.Metronome;
import io.uloop.UloopException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Whatever the server does, a reader gets the right bytes or a typed error before the deadline, and
 * nothing leaks.
 */
@Timeout(600)
final class HttpPropertyTest {

  private static final int SIZE = 1 << 20;
  private static final Duration DEADLINE = Duration.ofSeconds(4);
  private static final int THREADS = 24;

  @Test
  void read_randomLies_rightBytesOrTypedErrorInTime() throws Exception {
    run(600, false, SIZE, Lie.NONE);
  }

  @Test
  void read_randomLiesOfTwoMirrors_rightBytesOrTypedErrorInTime() throws Exception {
    run(400, true, SIZE, Lie.NONE);
  }

  @Test
  void read_randomLiesOfAServerWithoutRanges_rightBytesOrTypedErrorInTime() throws Exception {
    run(400, false, Answers.MOST_WHOLE_BYTES, Lie.IGNORE_RANGE);
  }

  @Test
  @Tag("slow")
  void read_tenThousandRandomLiesWithoutRanges_rightBytesOrTypedErrorInTime() throws Exception {
    run(10_000, false, Answers.MOST_WHOLE_BYTES, Lie.IGNORE_RANGE);
  }

  @Test
  @Tag("slow")
  void read_tenThousandRandomLies_rightBytesOrTypedErrorInTime() throws Exception {
    run(10_000, false, SIZE, Lie.NONE);
  }

  @Test
  @Tag("slow")
  void read_tenThousandRandomLiesOfTwoMirrors_rightBytesOrTypedErrorInTime() throws Exception {
    run(10_000, true, SIZE, Lie.NONE);
  }

  private static void run(int reads, boolean mirrored, int size, Lie usual) throws Exception {
    long seed = Long.getLong("uloop.seed", System.nanoTime());
    System.out.println(
        "HttpPropertyTest seed=" + seed + " (replay with -Duloop.seed=" + seed + ")");
    byte[] image = LyingOrigin.image(seed, size);
    AtomicInteger done = new AtomicInteger();
    AtomicInteger right = new AtomicInteger();
    AtomicLong slowest = new AtomicLong();
    Map<String, AtomicInteger> errors = new TreeMap<>();
    ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();
    try (Metronome metronome = Metronome.start();
        LyingOrigin origin = LyingOrigin.serving(image);
        LyingOrigin mirror = LyingOrigin.serving(image)) {
      HttpSourceConfig.Builder config =
          HttpSourceConfig.builder(origin.uri())
              .timeout(DEADLINE)
              .stallTimeout(Duration.ofMillis(300))
              .connections(THREADS);
      if (mirrored) {
        config.mirror(mirror.uri());
        mirror.random(~seed, 0.4, new ArrayList<>(EnumSet.complementOf(EnumSet.of(Lie.NONE))));
      }
      origin.usually(usual);
      HttpBlockSource source = HttpBlockSource.open(config.build());
      origin.random(seed, 0.4, new ArrayList<>(EnumSet.complementOf(EnumSet.of(Lie.NONE))));
      Thread[] threads = new Thread[THREADS];
      for (int t = 0; t < THREADS; t++) {
        SplittableRandom random = new SplittableRandom(seed + t);
        threads[t] =
            new Thread(
                () -> {
                  while (done.getAndIncrement() < reads) {
                    one(source, image, random, right, slowest, errors, wrong);
                  }
                },
                "reader-" + t);
        threads[t].start();
      }
      for (Thread thread : threads) {
        thread.join();
      }
      int leased = settledLeases(source);
      int lent = source.buffers().lent() + BufferPool.DIRECT.lent();
      source.close();
      System.out.println(
          "reads="
              + reads
              + " right="
              + right
              + " errors="
              + errors
              + " wrong="
              + wrong.size()
              + " slowest="
              + TimeUnit.NANOSECONDS.toMillis(slowest.get())
              + "ms requests="
              + origin.requests().size()
              + " connections="
              + origin.connections());
      assertThat(wrong).isEmpty();
      assertThat(right.get()).isGreaterThan(reads / 2);
      assertThat(leased).as("connections leased").isZero();
      assertThat(lent).as("buffers lent").isZero();
      assertThat(slowest.get())
          .isLessThan(DEADLINE.plusSeconds(1).toNanos() + metronome.slackNanos());
      assertNoThreads("uloop-http-");
    }
  }

  // A hedge that lost may take a moment to notice.
  private static int settledLeases(HttpBlockSource source) {
    long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (source.connections().leased() > 0 && System.nanoTime() < until) {
      Thread.onSpinWait();
    }
    return source.connections().leased();
  }

  private static void one(
      HttpBlockSource source,
      byte[] image,
      SplittableRandom random,
      AtomicInteger right,
      AtomicLong slowest,
      Map<String, AtomicInteger> errors,
      ConcurrentLinkedQueue<String> wrong) {
    int length =
        random.nextInt(10) == 0 ? random.nextInt(1, image.length / 4) : random.nextInt(1, 20_000);
    int offset = random.nextInt(image.length - length + 1);
    int[] at = {offset};
    long started = System.nanoTime();
    try {
      source.read(
          offset,
          length,
          piece -> {
            byte[] bytes = new byte[piece.remaining()];
            piece.get(bytes);
            if (!Arrays.equals(bytes, 0, bytes.length, image, at[0], at[0] + bytes.length)) {
              wrong.add("bytes at " + at[0]);
            }
            at[0] += bytes.length;
          });
      if (at[0] != offset + length) {
        wrong.add("length " + (at[0] - offset) + " of " + length);
      }
      right.incrementAndGet();
    } catch (UloopException e) {
      synchronized (errors) {
        errors
            .computeIfAbsent(e.getClass().getSimpleName(), k -> new AtomicInteger())
            .incrementAndGet();
      }
    } catch (IOException | RuntimeException e) {
      wrong.add("untyped " + e);
    }
    slowest.accumulateAndGet(System.nanoTime() - started, Math::max);
  }

  static void assertNoThreads(String prefix) throws InterruptedException {
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith(prefix)) {
        thread.join(5_000);
        assertThat(thread.isAlive()).as(thread.getName()).isFalse();
      }
    }
  }
}
