/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.io.Closeable;
import java.io.IOException;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * One generic netlink family, found by name, and the requests to it.
 *
 * <p><b>Threads:</b> safe for any; a request holds the socket until its acknowledgement is there.
 *
 * <p><b>Source:</b> the kernel's include/uapi/linux/genetlink.h (the family {@code nlctrl}).
 */
final class NetlinkFamily implements Closeable {

  static final int GENL_ID_CTRL = 0x10;
  static final int CTRL_CMD_GETFAMILY = 3;
  static final int CTRL_ATTR_FAMILY_ID = 1;
  static final int CTRL_ATTR_FAMILY_NAME = 2;
  static final int CTRL_ATTR_MCAST_GROUPS = 7;
  static final int CTRL_ATTR_MCAST_GRP_NAME = 1;
  static final int CTRL_ATTR_MCAST_GRP_ID = 2;

  private static final int CTRL_VERSION = 2;

  /** More than the longest answer: netlink sends at most 32 KiB in one. */
  private static final int RECEIVE_BYTES = 64 * 1024;

  private final String name;
  private final int version;
  private final NetlinkChannel channel;
  private int id;
  private Map<String, Integer> groups = Map.of();
  private int sequence;

  private NetlinkFamily(String name, int version, NetlinkChannel channel) {
    this.name = name;
    this.version = version;
    this.channel = channel;
  }

  /**
   * Looks a family up; takes the channel over, also if that fails.
   *
   * @return the family, empty if the kernel does not have it
   */
  static Optional<NetlinkFamily> find(NetlinkChannel channel, String name, int version)
      throws IOException {
    NetlinkFamily family = new NetlinkFamily(name, version, channel);
    try {
      family.lookUp();
      return Optional.of(family);
    } catch (IOException e) {
      try {
        channel.close();
      } catch (IOException e2) {
        e.addSuppressed(e2);
      }
      if (e instanceof NativeException n && n.errno() == NativeException.ENOENT) {
        return Optional.empty();
      }
      throw e;
    }
  }

  private synchronized void lookUp() throws IOException {
    byte[] attributes = new NetlinkAttributes.Builder().text(CTRL_ATTR_FAMILY_NAME, name).build();
    List<NetlinkMessage> answers =
        exchange("GETFAMILY", GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_VERSION, attributes);
    if (answers.isEmpty()) {
      throw new ProtocolException("netlink: no answer for family " + name);
    }
    NetlinkAttributes answer = answers.get(0).attributes();
    id = answer.number(CTRL_ATTR_FAMILY_ID);
    Map<String, Integer> found = new HashMap<>();
    for (ByteBuffer item : answer.nested(CTRL_ATTR_MCAST_GROUPS).payloads()) {
      NetlinkAttributes group = NetlinkAttributes.parse(item);
      ByteBuffer text =
          group
              .find(CTRL_ATTR_MCAST_GRP_NAME)
              .orElseThrow(() -> new ProtocolException("netlink: group without a name: " + name));
      found.put(NetlinkAttributes.text(text), group.number(CTRL_ATTR_MCAST_GRP_ID));
    }
    groups = Map.copyOf(found);
  }

  /**
   * Sends a command and waits for its acknowledgement.
   *
   * @param what the command's name, for messages
   * @param command its number
   * @param attributes its attributes
   * @return what the family answered, often nothing
   * @throws NativeException if the family says no, with its error number and text
   */
  synchronized List<NetlinkMessage> request(
      String what, int command, NetlinkAttributes.Builder attributes) throws IOException {
    return exchange(what, id, command, version, attributes.build());
  }

  /** Subscribes this family's socket to one of its multicast groups. */
  synchronized void join(String group) throws IOException {
    Integer number = groups.get(group);
    if (number == null) {
      throw new ProtocolException("netlink family " + name + " has no group " + group);
    }
    channel.join(number);
  }

  /**
   * Waits for messages of the groups joined.
   *
   * @return the messages, none after the time is over
   * @throws NativeException ENOBUFS if messages were lost
   */
  synchronized List<NetlinkMessage> events(int timeoutMillis) throws IOException {
    if (!channel.await(timeoutMillis)) {
      return List.of();
    }
    byte[] buffer = new byte[RECEIVE_BYTES];
    return NetlinkMessage.parse(buffer, channel.receive(buffer)).stream()
        .filter(message -> message.type() == id)
        .toList();
  }

  private List<NetlinkMessage> exchange(
      String what, int type, int command, int versionOfType, byte[] attributes) throws IOException {
    int mine = ++sequence;
    channel.send(NetlinkMessage.request(type, mine, command, versionOfType, attributes));
    List<NetlinkMessage> answers = new ArrayList<>();
    byte[] buffer = new byte[RECEIVE_BYTES];
    while (true) {
      for (NetlinkMessage message : NetlinkMessage.parse(buffer, channel.receive(buffer))) {
        if (message.sequence() != mine) {
          continue; // an event, or the rest of a request that failed half-way
        }
        if (message.type() == NetlinkMessage.TYPE_ERROR) {
          if (message.errno() == 0) {
            return answers;
          }
          throw refusal(what, message);
        }
        if (message.type() != NetlinkMessage.TYPE_DONE) {
          answers.add(message);
        }
      }
    }
  }

  private NativeException refusal(String what, NetlinkMessage error) throws IOException {
    String text = error.errorText();
    return new NativeException(
        "netlink " + name + " " + what,
        error.errno(),
        text.isEmpty() ? KernelErrors.text(error.errno()) : text);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
