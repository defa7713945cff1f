/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The reader of the kernel's write log, on a log made by hand. */
@Timeout(60)
class WriteLogTest {

  @TempDir Path dir;

  private static void entry(ByteBuffer log, long sector, long sectors, int flags, String mark) {
    int start = log.position();
    log.putLong(sector).putLong(sectors).putLong(flags).putLong(mark.length());
    log.put(mark.getBytes(StandardCharsets.US_ASCII)).position(start + 512);
  }

  @Test
  void log_ofEveryKindOfEntry_isReadAndReplayed() throws Exception {
    ByteBuffer log = ByteBuffer.allocate(100 * 512).order(ByteOrder.LITTLE_ENDIAN);
    log.putLong(0x6a736677736872L).putLong(1).putLong(5).putInt(512).position(512);
    entry(log, 3, 2, 0, "");
    log.put("a".repeat(1024).getBytes(StandardCharsets.US_ASCII));
    entry(log, 0, 0, 1, "");
    entry(log, 0, 0, 8, "said");
    entry(log, 4, 1, 4, "");
    entry(log, 0, 1, 2, "");
    log.put("b".repeat(512).getBytes(StandardCharsets.US_ASCII));
    Path file = Files.write(dir.resolve("log"), log.array());
    Path disk = Files.write(dir.resolve("disk"), new byte[8 * 512]);

    try (WriteLog read = new WriteLog(file);
        FileChannel target = FileChannel.open(disk, StandardOpenOption.WRITE)) {
      assertThat(read.entries()).extracting(WriteLog.Entry::mark).contains("said");
      assertThat(read.entries())
          .extracting(WriteLog.Entry::isBarrier)
          .containsExactly(false, true, true, false, true);
      for (WriteLog.Entry entry : read.entries()) {
        read.replay(entry, target);
      }
    }

    byte[] expected = new byte[8 * 512];
    java.util.Arrays.fill(expected, 0, 512, (byte) 'b');
    java.util.Arrays.fill(expected, 3 * 512, 4 * 512, (byte) 'a');
    assertThat(Files.readAllBytes(disk)).isEqualTo(expected);
  }

  @Test
  void anythingElse_isRefused() throws Exception {
    Path file = Files.write(dir.resolve("log"), new byte[4096]);

    assertThatThrownBy(() -> new WriteLog(file)).hasMessageContaining("is no write log");
  }
}
