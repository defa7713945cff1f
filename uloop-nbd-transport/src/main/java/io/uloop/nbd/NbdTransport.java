/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import io.uloop.BlockDevice;
import io.uloop.DeviceTransport;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Offers a device over NBD at {@code unix:/path}, {@code unix:@name}, {@code tcp:host:port} or
 * {@code inherited:}, the listening socket that systemd or inetd passed in.
 *
 * <table>
 *   <caption>Properties</caption>
 *   <tr><th>name</th><th>meaning</th></tr>
 *   <tr><td>{@code export}</td><td>name of the export; empty unless set</td></tr>
 *   <tr><td>{@code description}</td><td>shown to humans</td></tr>
 *   <tr><td>{@code listing}</td><td>whether clients may list exports; true unless set</td></tr>
 *   <tr><td>{@code mode}</td><td>permissions of the socket, {@code rw-------} or octal
 *       {@code 600}</td></tr>
 *   <tr><td>{@code owner}</td><td>owner of the socket, {@code user:group}</td></tr>
 *   <tr><td>{@code allow-remote}</td><td>whether to listen beyond loopback without forced TLS; false
 *       unless set</td></tr>
 *   <tr><td>{@code tls}</td><td>{@code off} (unless set), {@code on} (at the client's choice) or
 *       {@code force}</td></tr>
 *   <tr><td>{@code tls-certificates}</td><td>folder with keys, see {@link NbdTls#ofFolder}; then
 *       {@code tls} is {@code force} unless set</td></tr>
 *   <tr><td>{@code tls-verify-peer}</td><td>whether clients must show a certificate; false unless
 *       set</td></tr>
 *   <tr><td>{@code tls-clients}</td><td>names that a client's certificate may have, with commas
 *       between them</td></tr>
 *   <tr><td>{@code busy-poll}</td><td>microseconds to look for the next request of a client that
 *       sends one at a time, before sleeping; 50 unless set (0 with one processor), 0 for
 *       never</td></tr>
 * </table>
 *
 * @since 0.1
 */
public final class NbdTransport implements DeviceTransport {

  /** Makes one; {@link java.util.ServiceLoader} does. */
  public NbdTransport() {}

  @Override
  public boolean accepts(String place) {
    return ListenPlace.isUnix(place)
        || ListenPlace.isTcp(place)
        || place.equals(ListenPlace.INHERITED);
  }

  @Override
  public void check(String place, Map<String, String> properties) throws IOException {
    configure(place, properties);
    ListenPlace.checkDirectory(place);
  }

  private static NbdServerConfig.Builder configure(String place, Map<String, String> properties)
      throws IOException {
    NbdServerConfig.Builder config = NbdServerConfig.builder().listen(place);
    for (Map.Entry<String, String> property : properties.entrySet()) {
      apply(config, property.getKey(), property.getValue());
    }
    tls(properties).ifPresent(config::tls);
    return config;
  }

  @Override
  public Attachment attach(BlockDevice device, String place, Map<String, String> properties)
      throws IOException {
    NbdServerConfig.Builder config = configure(place, properties);
    String name = properties.getOrDefault("export", "");
    String description = properties.getOrDefault("description", "");
    config.export(new NbdExport(name, device, description));
    return new Served(NbdServer.start(config.build()));
  }

  private static void apply(NbdServerConfig.Builder config, String name, String value) {
    switch (name) {
      case "export",
          "description",
          "tls",
          "tls-certificates",
          "tls-verify-peer",
          "tls-clients" -> {} // Taken together.
      case "listing" -> config.listing(flag(name, value));
      case "mode" -> config.socketMode(mode(value));
      case "owner" -> config.socketOwner(value);
      case "allow-remote" -> config.allowRemote(flag(name, value));
      case "busy-poll" -> config.busyPoll(micros(name, value));
      default -> throw new IllegalArgumentException("unknown property: name=" + name);
    }
  }

  private static Optional<NbdTls> tls(Map<String, String> properties) throws IOException {
    String folder = properties.get("tls-certificates");
    String use = properties.getOrDefault("tls", folder == null ? "off" : "force");
    if (use.equals("off")) {
      return Optional.empty();
    }
    if (folder == null || !(use.equals("on") || use.equals("force"))) {
      throw new IllegalArgumentException(
          "TLS is off, or on or force with tls-certificates: tls=" + use + " folder=" + folder);
    }
    String clients = properties.getOrDefault("tls-clients", "");
    boolean verify = flag("tls-verify-peer", properties.getOrDefault("tls-verify-peer", "false"));
    return Optional.of(
        NbdTls.ofFolder(
            Path.of(folder),
            use.equals("force"),
            verify,
            clients.isEmpty() ? Set.of() : Set.of(clients.split(",", -1))));
  }

  private static boolean flag(String name, String value) {
    return switch (value) {
      case "true" -> true;
      case "false" -> false;
      default ->
          throw new IllegalArgumentException(
              "neither true nor false: property=" + name + " value=" + value);
    };
  }

  private static Duration micros(String name, String value) {
    try {
      return Duration.of(Long.parseLong(value), ChronoUnit.MICROS);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "not a number of microseconds: property=" + name + " value=" + value, e);
    }
  }

  /** Turns an octal mode into the form of {@code ls}; leaves others alone. */
  private static String mode(String value) {
    if (!value.matches("0?[0-7]{3}")) {
      return value;
    }
    StringBuilder text = new StringBuilder();
    for (char digit : value.substring(value.length() - 3).toCharArray()) {
      int bits = digit - '0';
      text.append((bits & 4) != 0 ? 'r' : '-');
      text.append((bits & 2) != 0 ? 'w' : '-');
      text.append((bits & 1) != 0 ? 'x' : '-');
    }
    return text.toString();
  }

  private record Served(NbdServer server) implements Attachment {
    @Override
    public String place() {
      return server.places().get(0);
    }

    @Override
    public void await() throws InterruptedException {
      server.await();
    }

    @Override
    public void close() throws IOException {
      server.close();
    }
  }
}
