/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What a server offers, and where; immutable.
 *
 * @since 0.1
 */
public final class NbdServerConfig {

  private final List<String> places;
  private final Map<String, NbdExport> exports;
  private final Optional<String> defaultExport;
  private final boolean listing;
  private final boolean allowRemote;
  private final Set<PosixFilePermission> socketMode;
  private final Optional<String> socketOwner;
  private final Optional<NbdTls> tls;
  private final NbdLimits limits;
  private final int threads;
  private final Duration busyPoll;

  private NbdServerConfig(Builder builder) {
    places = List.copyOf(builder.places);
    exports = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(builder.exports));
    defaultExport = builder.defaultExport;
    listing = builder.listing;
    allowRemote = builder.allowRemote;
    socketMode = Set.copyOf(builder.socketMode);
    socketOwner = builder.socketOwner;
    tls = builder.tls;
    limits = builder.limits;
    threads = builder.threads;
    busyPoll = builder.busyPoll;
  }

  /**
   * Begins with the defaults.
   *
   * @return a new builder
   */
  public static Builder builder() {
    return new Builder();
  }

  List<String> places() {
    return places;
  }

  Map<String, NbdExport> exports() {
    return exports;
  }

  /** Finds what a client means by a name; the empty one may stand for another. */
  Optional<NbdExport> export(String name) {
    NbdExport found = exports.get(name);
    if (found == null && name.isEmpty()) {
      if (defaultExport.isPresent()) {
        found = exports.get(defaultExport.get());
      } else if (exports.size() == 1) {
        found = exports.values().iterator().next();
      }
    }
    return Optional.ofNullable(found);
  }

  boolean listing() {
    return listing;
  }

  boolean allowRemote() {
    return allowRemote;
  }

  Set<PosixFilePermission> socketMode() {
    return socketMode;
  }

  Optional<String> socketOwner() {
    return socketOwner;
  }

  Optional<NbdTls> tls() {
    return tls;
  }

  NbdLimits limits() {
    return limits;
  }

  int threads() {
    return threads;
  }

  Duration busyPoll() {
    return busyPoll;
  }

  /** Collects settings; not safe for use by several threads. */
  public static final class Builder {
    private final List<String> places = new ArrayList<>();
    private final Map<String, NbdExport> exports = new LinkedHashMap<>();
    private Optional<String> defaultExport = Optional.empty();
    private boolean listing = true;
    private boolean allowRemote;
    private Set<PosixFilePermission> socketMode = PosixFilePermissions.fromString("rw-------");
    private Optional<String> socketOwner = Optional.empty();
    private Optional<NbdTls> tls = Optional.empty();
    private NbdLimits limits = NbdLimits.defaults();
    private int threads = Math.min(4, Runtime.getRuntime().availableProcessors());
    private Duration busyPoll = BusyPoll.DEFAULT;

    private Builder() {}

    /**
     * Adds a place to listen at.
     *
     * @param place {@code unix:/path/to/socket} (of up to 107 bytes), {@code unix:@name} for an
     *     abstract socket, {@code tcp:host:port} (the host may be empty for 127.0.0.1, an IPv6
     *     address in brackets; the port may be 0 for any, or missing for 10809), or {@code
     *     inherited:} for the listening socket that systemd or inetd passed in
     * @return this
     * @throws IllegalArgumentException if it is none of these
     */
    public Builder listen(String place) {
      ListenPlace.check(place);
      places.add(place);
      return this;
    }

    /**
     * Adds an export.
     *
     * @param export the export
     * @return this
     * @throws IllegalArgumentException if there is one of that name
     */
    public Builder export(NbdExport export) {
      if (exports.putIfAbsent(export.name(), export) != null) {
        throw new IllegalArgumentException("two exports of one name: name=" + export.name());
      }
      return this;
    }

    /**
     * Sets which export a client gets that names none; the only one there is, unless set, and none
     * if there are several.
     *
     * @param name the name of an export
     * @return this
     */
    public Builder defaultExport(String name) {
      defaultExport = Optional.of(name);
      return this;
    }

    /**
     * Sets whether clients may list the exports; they may unless set.
     *
     * @param listing whether they may
     * @return this
     */
    public Builder listing(boolean listing) {
      this.listing = listing;
      return this;
    }

    /**
     * Sets whether to listen beyond loopback though TLS is not forced; not unless set.
     *
     * @param allow whether bytes may cross a network in plain
     * @return this
     */
    public Builder allowRemote(boolean allow) {
      allowRemote = allow;
      return this;
    }

    /**
     * Sets the permissions of unix sockets; {@code rw-------} unless set. Who may write may
     * connect, to abstract sockets too.
     *
     * @param mode in the form of {@code ls}
     * @return this
     * @throws IllegalArgumentException if it has not that form
     */
    public Builder socketMode(String mode) {
      socketMode = PosixFilePermissions.fromString(mode);
      return this;
    }

    /**
     * Sets the owner of unix sockets; the process's own user unless set.
     *
     * @param owner {@code user}, {@code user:group} or {@code :group}
     * @return this
     */
    public Builder socketOwner(String owner) {
      socketOwner = Optional.of(owner);
      return this;
    }

    /**
     * Offers TLS; not unless set.
     *
     * @param tls keys, and whether clients must use it
     * @return this
     */
    public Builder tls(NbdTls tls) {
      this.tls = Optional.of(tls);
      return this;
    }

    /**
     * Sets the limits.
     *
     * @param limits the limits
     * @return this
     */
    public Builder limits(NbdLimits limits) {
      this.limits = limits;
      return this;
    }

    /**
     * Sets the number of event loops; as many as processors, but at most 4, unless set.
     *
     * @param count one or more
     * @return this
     */
    public Builder threads(int count) {
      if (count < 1) {
        throw new IllegalArgumentException("threads must be one or more: threads=" + count);
      }
      threads = count;
      return this;
    }

    /**
     * Sets how long a loop looks for the next request of a client that sends one at a time before
     * it sleeps; 50 us unless set, or not at all on a machine of one processor.
     *
     * <p>Such a client is answered about twice as fast, and takes a processor while it reads; what
     * else wants the processor goes first.
     *
     * @param time from zero, which turns it off, to a millisecond
     * @return this
     */
    public Builder busyPoll(Duration time) {
      if (time.isNegative() || time.compareTo(Duration.ofMillis(1)) > 0) {
        throw new IllegalArgumentException("not from 0 to 1 ms: busyPoll=" + time);
      }
      busyPoll = time;
      return this;
    }

    /**
     * Makes the settings.
     *
     * @return immutable settings
     * @throws IllegalArgumentException if there is no place, no export, or no export of the default
     *     name
     */
    public NbdServerConfig build() {
      if (places.isEmpty() || exports.isEmpty()) {
        throw new IllegalArgumentException(
            "nothing to serve: places=" + places.size() + " exports=" + exports.size());
      }
      if (defaultExport.isPresent() && !exports.containsKey(defaultExport.get())) {
        throw new IllegalArgumentException("no export of that name: name=" + defaultExport.get());
      }
      return new NbdServerConfig(this);
    }
  }
}
