/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.http;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * The hosts that are asked without a proxy.
 *
 * <p>Entries are separated by commas or spaces: {@code *} for all; a name, which stands for all
 * below it too, with or without {@code .} or {@code *.} before it; an address, IPv6 with or without
 * brackets; a block of addresses, {@code 10.0.0.0/8} or {@code fd00::/8}. All but blocks may have a
 * port. Names are not resolved, so a block is only for URLs that have an address.
 */
final class NoProxy {

  private final List<String> entries;

  NoProxy(String list) {
    entries = List.of(list.trim().toLowerCase(Locale.ROOT).split("[, ]+", -1));
  }

  boolean has(HttpUrl url) {
    return entries.stream().anyMatch(entry -> !entry.isEmpty() && matches(entry, url));
  }

  static boolean isLoopback(String host) {
    byte[] address = address(host);
    return host.equals("localhost")
        || host.endsWith(".localhost")
        || (address != null && of(address).isLoopbackAddress());
  }

  private static boolean matches(String entry, HttpUrl url) {
    if (entry.equals("*")) {
      return true;
    }
    int slash = entry.indexOf('/');
    if (slash >= 0) {
      return inBlock(address(url.host()), entry.substring(0, slash), entry.substring(slash + 1));
    }
    String name = entry;
    // A port is after the only colon, or after the bracket; an address without has two or more.
    int colon = entry.lastIndexOf(':');
    if (colon >= 0 && (colon == entry.indexOf(':') || entry.charAt(colon - 1) == ']')) {
      if (!entry.substring(colon + 1).equals(Integer.toString(url.port()))) {
        return false;
      }
      name = entry.substring(0, colon);
    }
    byte[] address = address(name);
    if (address != null) {
      byte[] host = address(url.host());
      return host != null && of(address).equals(of(host));
    }
    name = name.startsWith("*.") ? name.substring(2) : name;
    name = name.startsWith(".") ? name.substring(1) : name;
    return !name.isEmpty() && (url.host().equals(name) || url.host().endsWith("." + name));
  }

  private static boolean inBlock(byte @Nullable [] host, String first, String length) {
    byte[] block = address(first);
    if (host == null || block == null || block.length != host.length || !isNumber(length)) {
      return false;
    }
    int bits = Integer.parseInt(length);
    if (bits > 8 * block.length) {
      return false;
    }
    for (int i = 0; i < bits; i++) {
      if (((block[i / 8] ^ host[i / 8]) & (0x80 >> i % 8)) != 0) {
        return false;
      }
    }
    return true;
  }

  private static boolean isNumber(String text) {
    return text.matches("\\d{1,3}");
  }

  /** Reads an address, IPv6 with or without brackets; null for a name. */
  private static byte @Nullable [] address(String text) {
    String bare =
        text.startsWith("[") && text.endsWith("]") ? text.substring(1, text.length() - 1) : text;
    boolean v4 = bare.matches("\\d{1,3}(\\.\\d{1,3}){3}");
    boolean v6 = bare.indexOf(':') >= 0 && bare.matches("[0-9a-f:.]+");
    try {
      // Of such text this reads, and asks no name server.
      return v4 || v6 ? InetAddress.getByName(bare).getAddress() : null;
    } catch (UnknownHostException e) {
      return null;
    }
  }

  private static InetAddress of(byte[] address) {
    try {
      return InetAddress.getByAddress(address);
    } catch (UnknownHostException e) {
      throw new AssertionError("an address of 4 or 16 bytes", e);
    }
  }
}
