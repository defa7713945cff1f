/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import static io.uloop.nbd.NbdTestClient.bytes;
import static io.uloop.nbd.NbdTestClient.infoData;
import static io.uloop.nbd.NbdTestClient.metaData;
import static io.uloop.nbd.NbdTestClient.optionBytes;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Sessions made at random, half of them damaged, against the model.
 *
 * <p>{@code -Duloop.seed=N} repeats a run from its seed; a failure prints the seed of the one
 * session and its bytes.
 */
class FuzzTest {

  @Test
  @Timeout(90)
  void sessions_atRandom_areAnsweredAsTheModelSays() throws IOException {
    run(15);
  }

  @Test
  @Tag("slow")
  @Timeout(900)
  void sessions_atRandomForLong_areAnsweredAsTheModelSays() throws IOException {
    run(600);
  }

  private static void run(int seconds) throws IOException {
    String given = System.getProperty("uloop.seed", "");
    long seed = given.isEmpty() ? System.nanoTime() : Long.parseLong(given);
    System.out.println("fuzz: seed=" + seed);
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
    long sessions = 0;
    try (FuzzTarget target = new FuzzTarget()) {
      for (long at = seed; System.nanoTime() < end; at++, sessions++) {
        byte[] input = session(new Random(at));
        try {
          target.run(input, at);
        } catch (IOException | RuntimeException | AssertionError e) {
          throw new AssertionError("seed=" + at + " input=" + HexFormat.of().formatHex(input), e);
        }
      }
    }
    System.out.println("fuzz: sessions=" + sessions);
  }

  static byte[] session(Random random) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    all.writeBytes(bytes(random.nextInt(20) == 0 ? random.nextInt() : random.nextInt(4)));
    NbdTestClient client = new NbdTestClient(null);
    int options = random.nextInt(6);
    for (int i = 0; i < options; i++) {
      option(random, all, client);
    }
    if (random.nextInt(10) > 0) {
      all.writeBytes(
          random.nextInt(8) == 0 && client.mode != 11
              ? optionBytes(1, bytes(name(random)))
              : optionBytes(7, infoData(name(random), 3, 1)));
      int requests = random.nextInt(40);
      for (int i = 0; i < requests; i++) {
        request(random, all, client, i);
      }
    }
    byte[] session = all.toByteArray();
    return random.nextBoolean() ? session : damage(random, session);
  }

  private static String name(Random random) {
    return switch (random.nextInt(12)) {
      case 0 -> "nothing";
      case 1, 2 -> "";
      default -> "disk";
    };
  }

  private static void option(Random random, ByteArrayOutputStream all, NbdTestClient client) {
    String[] queries = {"base:allocation", "x-uloop:cached", "base:", "a:b", "x-uloop:"};
    byte[] none = {};
    switch (random.nextInt(10)) {
      case 0 -> all.writeBytes(optionBytes(3, none));
      case 1 -> all.writeBytes(optionBytes(5, none));
      case 2 -> all.writeBytes(optionBytes(6, infoData(name(random), 0, 1, 2, 3)));
      case 3, 4 -> {
        all.writeBytes(optionBytes(8, none));
        client.mode = client.mode == 0 ? 8 : client.mode;
      }
      case 5 -> {
        all.writeBytes(optionBytes(11, none));
        client.mode = 11;
      }
      case 6, 7, 8 -> {
        String[] some = Arrays.copyOf(queries, random.nextInt(queries.length + 1));
        all.writeBytes(optionBytes(9 + random.nextInt(2), metaData(name(random), some)));
      }
      default -> {
        int size = random.nextInt(20) == 0 ? 70_000 : random.nextInt(20);
        all.writeBytes(optionBytes(random.nextInt(16), new byte[size]));
      }
    }
  }

  private static void request(
      Random random, ByteArrayOutputStream all, NbdTestClient client, long cookie) {
    int type = random.nextInt(random.nextInt(5) == 0 ? 12 : 8);
    if (type == 2 && random.nextInt(10) > 0) {
      type = 0;
    }
    int flags =
        random.nextInt(4) == 0 ? random.nextInt(64) : type == 1 && client.mode == 11 ? 32 : 0;
    long offset = random.nextInt(10) == 0 ? random.nextLong() : random.nextInt(FuzzTarget.SIZE + 1);
    long length =
        switch (random.nextInt(8)) {
          case 0 -> random.nextLong() >>> random.nextInt(64);
          case 1 -> FuzzTarget.SIZE;
          case 2, 3 -> random.nextInt(FuzzTarget.SIZE);
          default -> random.nextInt(9000);
        };
    if (type == 3 && random.nextInt(5) > 0) {
      offset = 0;
      length = 0;
    }
    boolean payload = type == 1 || (client.mode == 11 && (flags & 32) != 0);
    byte[] data = {};
    if (payload) {
      data =
          type == 7
              ? bytes((long) random.nextInt(FuzzTarget.SIZE), 1 + random.nextInt(3))
              : new byte[random.nextInt(100_000)];
      length = data.length;
    }
    all.writeBytes(client.requestBytes(flags, type, cookie, offset, length, data));
  }

  private static byte[] damage(Random random, byte[] session) {
    byte[] bytes = session;
    for (int i = random.nextInt(3) + 1; i > 0 && bytes.length > 0; i--) {
      int at = random.nextInt(Math.min(bytes.length, 1 << (4 + random.nextInt(14))));
      switch (random.nextInt(4)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) random.nextInt();
        case 2 -> bytes = Arrays.copyOf(bytes, at);
        default -> {
          byte[] less = new byte[bytes.length - 1];
          System.arraycopy(bytes, 0, less, 0, at);
          System.arraycopy(bytes, at + 1, less, at, less.length - at);
          bytes = less;
        }
      }
    }
    return bytes;
  }
}
