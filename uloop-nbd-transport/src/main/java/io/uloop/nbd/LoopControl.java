/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.OptionalInt;

/**
 * The loop driver's ioctls.
 *
 * <p>They are called here rather than by losetup(8): LOOP_CONFIGURE sets file, sector size and
 * flags in one step, so that nobody ever sees a half-made device; the error number comes back as it
 * is; and the device is held open from before it exists to after it is gone, which is what makes
 * "detach when the last user closes" mean the death of this process.
 *
 * <p>{@code struct loop_config}:
 *
 * <pre>
 *   0  u32 file descriptor          8 + 52  u32 flags
 *   4  u32 block size               8 + 56  char file name[64]
 *   8  struct loop_info64 (232)     240     u64 reserved[8]
 * </pre>
 *
 * <p><b>Source:</b> loop(4), and the kernel's include/uapi/linux/loop.h.
 */
final class LoopControl {

  static final int LOOP_CONFIG_BYTES = 304;
  static final int FD_OFFSET = 0;
  static final int BLOCK_SIZE_OFFSET = 4;
  static final int FLAGS_OFFSET = 60;
  static final int FILE_NAME_OFFSET = 64;
  static final int FILE_NAME_BYTES = 64;

  static final int LO_FLAGS_READ_ONLY = 1;
  static final int LO_FLAGS_AUTOCLEAR = 4;
  static final int LO_FLAGS_PARTSCAN = 8;
  static final int LO_FLAGS_DIRECT_IO = 16;

  private static final long LOOP_CLR_FD = 0x4C01;
  private static final long LOOP_CONFIGURE = 0x4C0A;
  private static final long LOOP_CTL_ADD = 0x4C80;
  private static final long LOOP_CTL_GET_FREE = 0x4C82;
  private static final String CONTROL = "/dev/loop-control";
  private static final Duration NODE = Duration.ofSeconds(2);

  private final NativeCalls calls;

  LoopControl(NativeCalls calls) {
    this.calls = calls;
  }

  /**
   * Finds the device, making it if there is none of that number.
   *
   * @param wanted its number, or empty for one that is free
   */
  KernelDevice device(OptionalInt wanted) throws IOException {
    if (wanted.isPresent() && new KernelDevice(calls, "loop" + wanted.getAsInt()).exists()) {
      return new KernelDevice(calls, "loop" + wanted.getAsInt());
    }
    int number;
    try (NativeFd control = calls.open(CONTROL, KernelDevice.O_RDWR | KernelDevice.O_CLOEXEC)) {
      number =
          wanted.isPresent()
              ? calls.ioctl(control, "LOOP_CTL_ADD", LOOP_CTL_ADD, wanted.getAsInt())
              : calls.ioctl(control, "LOOP_CTL_GET_FREE", LOOP_CTL_GET_FREE, 0);
    }
    KernelDevice device = new KernelDevice(calls, "loop" + number);
    if (!KernelPoll.until(NODE, device::hasNode)) {
      throw new IOException(device + " does not appear; is /dev a devtmpfs?");
    }
    return device;
  }

  /** Puts a file behind a device. */
  void configure(NativeFd device, NativeFd file, String name, int blockBytes, int flags)
      throws IOException {
    calls.ioctl(
        device, "LOOP_CONFIGURE", LOOP_CONFIGURE, config(file.number(), name, blockBytes, flags));
  }

  /** Takes the file away; if others have the device open, when the last of them closes it. */
  void clear(NativeFd device) throws IOException {
    calls.ioctl(device, "LOOP_CLR_FD", LOOP_CLR_FD, 0);
  }

  static byte[] config(int fd, String name, int blockBytes, int flags) {
    ByteBuffer config = ByteBuffer.allocate(LOOP_CONFIG_BYTES).order(ByteOrder.nativeOrder());
    config.putInt(FD_OFFSET, fd);
    config.putInt(BLOCK_SIZE_OFFSET, blockBytes);
    config.putInt(FLAGS_OFFSET, flags);
    byte[] text = name.getBytes(StandardCharsets.UTF_8);
    config.put(FILE_NAME_OFFSET, text, 0, Math.min(text.length, FILE_NAME_BYTES - 1));
    return config.array();
  }
}
