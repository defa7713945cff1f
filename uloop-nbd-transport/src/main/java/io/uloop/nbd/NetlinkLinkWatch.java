/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Hears of a device's dead links and has each replaced, until it is stopped.
 *
 * <p>A link that the kernel gives up is announced, unless that was asked for. So a device all of
 * whose links are cut, with none announced, was disconnected by somebody else. Its links must then
 * not be replaced: kernels before 6.14 took them, and broke.
 */
final class NetlinkLinkWatch {

  private static final System.Logger LOG = System.getLogger(NetlinkLinkWatch.class.getName());

  /** How often the thread looks whether it is to stop. */
  private static final int WAIT_MILLIS = 200;

  /** How long after a failed replacement the next one is tried. */
  private static final int RETRY_MILLIS = 500;

  /** For how many waits all links are cut without a word before that counts as a disconnect. */
  private static final int UNEXPLAINED_ROUNDS = 5;

  /** What replaces one dead link. */
  interface Replacement {
    void run() throws IOException;
  }

  private final NetlinkNbd events;
  private final int index;
  private final NetlinkSockets sockets;
  private final Replacement replacement;
  private final AtomicBoolean stopped = new AtomicBoolean();
  private final Thread thread;

  /** Whether the device was disconnected by somebody else; written by the thread only. */
  private volatile boolean cutOff;

  /**
   * Makes one.
   *
   * @param events subscribed to dead links; closed by {@link #stop}
   * @param index the device
   * @param sockets our ends of its links
   * @param replacement run once for each dead link, on the watching thread
   */
  NetlinkLinkWatch(NetlinkNbd events, int index, NetlinkSockets sockets, Replacement replacement) {
    this.events = events;
    this.index = index;
    this.sockets = sockets;
    this.replacement = replacement;
    thread = new Thread(this::run, "uloop-links-" + index);
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** Stops the thread and waits for its end. A second call does nothing. */
  void stop() throws IOException {
    stopped.set(true);
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    events.close();
  }

  /** Tells whether somebody else has disconnected the device. */
  boolean cutOff() {
    return cutOff;
  }

  private void run() {
    int owed = 0;
    int unexplained = 0;
    boolean complained = false;
    while (!stopped.get() && !cutOff) {
      try {
        owed += hear(owed == 0 ? WAIT_MILLIS : RETRY_MILLIS);
        while (owed > 0 && !stopped.get()) {
          replacement.run();
          owed--;
        }
        unexplained = sockets.allCut() ? unexplained + 1 : 0;
        cutOff = unexplained >= UNEXPLAINED_ROUNDS;
        complained = false;
      } catch (IOException | RuntimeException e) {
        LOG.log(
            complained ? System.Logger.Level.DEBUG : System.Logger.Level.WARNING,
            "nbd" + index + ": a dead link cannot be replaced yet: " + e.getMessage());
        complained = true;
      }
    }
  }

  private int hear(int millis) throws IOException {
    List<Integer> dead;
    try {
      dead = events.deadLinks(millis);
    } catch (NativeException e) {
      if (e.errno() == NativeException.ENOBUFS) {
        return 1; // messages were lost; if no link is dead, nothing comes of it
      }
      throw e;
    }
    return (int) dead.stream().filter(i -> i == index).count();
  }
}
