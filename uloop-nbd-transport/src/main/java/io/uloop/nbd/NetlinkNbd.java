/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * The kernel's netlink family {@code nbd}: connect, reconfigure, disconnect, status, dead links.
 *
 * <p>What the kernel does not say, and what follows from that here:
 *
 * <ul>
 *   <li>RECONFIGURE puts new sockets in the place of dead ones only; if none is dead it answers
 *       "done" all the same. Whether a socket was taken is seen by {@link UnixSocket#sendTimeout},
 *       so a request timeout is always set.
 *   <li>A dead link's requests that were sent are not sent again when it is replaced, but when
 *       their own request timeout runs out. That timeout is hence also the longest that a request
 *       hangs after a takeover.
 *   <li>STATUS tells whether a device is configured, not whether its links live.
 *   <li>DISCONNECT answers "done" if nothing was configured.
 * </ul>
 *
 * <p><b>Threads:</b> safe for any.
 *
 * <p><b>Source:</b> the kernel's include/uapi/linux/nbd-netlink.h and drivers/block/nbd.c.
 */
final class NetlinkNbd implements Closeable {

  static final String FAMILY = "nbd";
  static final int VERSION = 1;
  static final String GROUP = "nbd_mc_group";

  static final int CMD_CONNECT = 1;
  static final int CMD_DISCONNECT = 2;
  static final int CMD_RECONFIGURE = 3;
  static final int CMD_LINK_DEAD = 4;
  static final int CMD_STATUS = 5;

  static final int ATTR_INDEX = 1;
  static final int ATTR_SIZE_BYTES = 2;
  static final int ATTR_BLOCK_SIZE_BYTES = 3;
  static final int ATTR_TIMEOUT = 4;
  static final int ATTR_SERVER_FLAGS = 5;
  static final int ATTR_CLIENT_FLAGS = 6;
  static final int ATTR_SOCKETS = 7;
  static final int ATTR_DEAD_CONN_TIMEOUT = 8;
  static final int ATTR_DEVICE_LIST = 9;
  static final int ATTR_BACKEND_IDENTIFIER = 10;

  static final int SOCK_ITEM = 1;
  static final int SOCK_FD = 1;
  static final int DEVICE_ITEM = 1;
  static final int DEVICE_INDEX = 1;
  static final int DEVICE_CONNECTED = 2;

  private final NetlinkFamily family;

  private NetlinkNbd(NetlinkFamily family) {
    this.family = family;
  }

  /**
   * What a device is told at CONNECT.
   *
   * @param sizeBytes its size, a multiple of the block size
   * @param blockBytes its logical block size, 512 to a page
   * @param serverFlags NBD transmission flags
   * @param timeouts how long requests and dead links wait
   * @param identifier what a takeover must know, or empty
   */
  record Configuration(
      long sizeBytes,
      int blockBytes,
      int serverFlags,
      Timeouts timeouts,
      Optional<String> identifier) {}

  /**
   * How long things wait; whole seconds, all that the kernel knows.
   *
   * @param request until a request that is not answered is sent again on another link, at least 1 s
   * @param deadConnection how long requests wait while all links are dead; zero fails them at once
   */
  record Timeouts(Duration request, Duration deadConnection) {
    Timeouts {
      if (request.toSeconds() < 1 || deadConnection.isNegative()) {
        throw new IllegalArgumentException(
            "timeouts: request=" + request + " deadConnection=" + deadConnection);
      }
    }
  }

  /**
   * Opens the family.
   *
   * @return empty if the kernel does not have it
   */
  static Optional<NetlinkNbd> open(NativeCalls calls) throws IOException {
    return NetlinkFamily.find(NetlinkKernelChannel.open(calls), FAMILY, VERSION)
        .map(NetlinkNbd::new);
  }

  /** Opens the family on a channel of the caller's, which is taken over. */
  static Optional<NetlinkNbd> open(NetlinkChannel channel) throws IOException {
    return NetlinkFamily.find(channel, FAMILY, VERSION).map(NetlinkNbd::new);
  }

  /**
   * Configures a device.
   *
   * @param index which, or empty for the next that is free
   * @param configuration what it is told
   * @param sockets descriptors of connections in the transmission phase; the kernel holds
   *     references of its own afterwards
   * @return the device's index
   * @throws NativeException EBUSY if it is in use, EPERM without CAP_SYS_ADMIN
   */
  int connect(OptionalInt index, Configuration configuration, List<Integer> sockets)
      throws IOException {
    NetlinkAttributes.Builder attributes = new NetlinkAttributes.Builder();
    index.ifPresent(number -> attributes.u32(ATTR_INDEX, number));
    attributes
        .u64(ATTR_SIZE_BYTES, configuration.sizeBytes)
        .u64(ATTR_BLOCK_SIZE_BYTES, configuration.blockBytes)
        .u64(ATTR_SERVER_FLAGS, configuration.serverFlags);
    addTimeouts(attributes, configuration.timeouts);
    configuration.identifier.ifPresent(text -> attributes.text(ATTR_BACKEND_IDENTIFIER, text));
    attributes.nest(ATTR_SOCKETS, items(sockets));
    for (NetlinkMessage answer : family.request("CONNECT", CMD_CONNECT, attributes)) {
      if (answer.command() == CMD_CONNECT) {
        return answer.attributes().number(ATTR_INDEX);
      }
    }
    throw new ProtocolException("netlink nbd CONNECT: acknowledged without an index");
  }

  /**
   * Puts sockets in the place of dead ones; those that find none are not taken, and not reported.
   *
   * @param index the device
   * @param identifier the one it was connected with
   * @param timeouts new ones, for requests from now on
   * @param sockets as for {@link #connect}
   * @throws NativeException EINVAL if it is not configured, or with another identifier
   */
  void reconfigure(int index, Optional<String> identifier, Timeouts timeouts, List<Integer> sockets)
      throws IOException {
    NetlinkAttributes.Builder attributes = new NetlinkAttributes.Builder().u32(ATTR_INDEX, index);
    addTimeouts(attributes, timeouts);
    identifier.ifPresent(text -> attributes.text(ATTR_BACKEND_IDENTIFIER, text));
    attributes.nest(ATTR_SOCKETS, items(sockets));
    family.request("RECONFIGURE", CMD_RECONFIGURE, attributes);
  }

  /** Ends a device's connections; what is in flight fails. Does nothing if none is configured. */
  void disconnect(int index) throws IOException {
    family.request(
        "DISCONNECT", CMD_DISCONNECT, new NetlinkAttributes.Builder().u32(ATTR_INDEX, index));
  }

  /** Tells of all devices whether they are configured, by index. Needs no privilege. */
  Map<Integer, Boolean> status() throws IOException {
    Map<Integer, Boolean> devices = new TreeMap<>();
    for (NetlinkMessage answer :
        family.request("STATUS", CMD_STATUS, new NetlinkAttributes.Builder())) {
      for (ByteBuffer item : answer.attributes().nested(ATTR_DEVICE_LIST).all(DEVICE_ITEM)) {
        NetlinkAttributes device = NetlinkAttributes.parse(item);
        devices.put(device.number(DEVICE_INDEX), device.number(DEVICE_CONNECTED) != 0);
      }
    }
    return devices;
  }

  /** Subscribes to dead links; for an instance that sends no requests. */
  void watchLinks() throws IOException {
    family.join(GROUP);
  }

  /**
   * Waits for dead links.
   *
   * @return the indexes of their devices, one for each link; none after the time is over
   * @throws NativeException ENOBUFS if some were lost: then any device may have dead links
   */
  List<Integer> deadLinks(int timeoutMillis) throws IOException {
    List<Integer> indexes = new java.util.ArrayList<>();
    for (NetlinkMessage event : family.events(timeoutMillis)) {
      if (event.command() == CMD_LINK_DEAD) {
        indexes.add(event.attributes().number(ATTR_INDEX));
      }
    }
    return indexes;
  }

  @Override
  public void close() throws IOException {
    family.close();
  }

  private static void addTimeouts(NetlinkAttributes.Builder attributes, Timeouts timeouts) {
    attributes
        .u64(ATTR_TIMEOUT, timeouts.request.toSeconds())
        .u64(ATTR_DEAD_CONN_TIMEOUT, timeouts.deadConnection.toSeconds());
  }

  private static NetlinkAttributes.Builder items(List<Integer> sockets) {
    NetlinkAttributes.Builder items = new NetlinkAttributes.Builder();
    for (int fd : sockets) {
      items.nest(SOCK_ITEM, new NetlinkAttributes.Builder().u32(SOCK_FD, fd));
    }
    return items;
  }
}
