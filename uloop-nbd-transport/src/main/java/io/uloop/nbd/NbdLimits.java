/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.time.Duration;

/**
 * How much a client may ask of a server; immutable.
 *
 * <p>What goes beyond is answered with the protocol's error where there is one, is made to wait
 * where waiting helps (requests in flight, bytes), and else ends the connection.
 *
 * @since 0.1
 */
public final class NbdLimits {

  private static final NbdLimits DEFAULTS = builder().build();

  private final int connections;
  private final int optionBytes;
  private final int options;
  private final int payloadBytes;
  private final int requestsInFlight;
  private final long connectionBytes;
  private final long serverBytes;
  private final Duration handshakeTime;
  private final Duration idleTime;
  private final Duration stallTime;

  private NbdLimits(Builder builder) {
    connections = builder.connections;
    optionBytes = builder.optionBytes;
    options = builder.options;
    payloadBytes = builder.payloadBytes;
    requestsInFlight = builder.requestsInFlight;
    connectionBytes = Math.max(builder.connectionBytes, payloadBytes);
    serverBytes = Math.max(builder.serverBytes, connectionBytes);
    handshakeTime = builder.handshakeTime;
    idleTime = builder.idleTime;
    stallTime = builder.stallTime;
  }

  /**
   * Gives the limits that a server has unless told otherwise.
   *
   * @return the defaults, as the builder's methods state them
   */
  public static NbdLimits defaults() {
    return DEFAULTS;
  }

  /**
   * Begins with the defaults.
   *
   * @return a new builder
   */
  public static Builder builder() {
    return new Builder();
  }

  /**
   * Gives the number of connections served at once.
   *
   * @return one or more
   */
  public int connections() {
    return connections;
  }

  /**
   * Gives the bytes of data that one option may have.
   *
   * @return 4102 to 65536
   */
  public int optionBytes() {
    return optionBytes;
  }

  /**
   * Gives the number of options in one handshake.
   *
   * @return one or more
   */
  public int options() {
    return options;
  }

  /**
   * Gives the bytes that one READ or WRITE may carry.
   *
   * @return 65536 or more
   */
  public int payloadBytes() {
    return payloadBytes;
  }

  /**
   * Gives the number of requests of one connection that are worked on at once.
   *
   * @return one or more
   */
  public int requestsInFlight() {
    return requestsInFlight;
  }

  /**
   * Gives the bytes that the requests of one connection may hold at once.
   *
   * @return {@link #payloadBytes} or more
   */
  public long connectionBytes() {
    return connectionBytes;
  }

  /**
   * Gives the bytes that the requests of all connections may hold at once.
   *
   * @return {@link #connectionBytes} or more
   */
  public long serverBytes() {
    return serverBytes;
  }

  /**
   * Gives the time from connecting to the end of the handshake.
   *
   * @return a positive duration
   */
  public Duration handshakeTime() {
    return handshakeTime;
  }

  /**
   * Gives the time after which a client that asks nothing is disconnected.
   *
   * @return zero for never
   */
  public Duration idleTime() {
    return idleTime;
  }

  /**
   * Gives the time within which a client has to take or send a sixteenth of the memory that it
   * holds, while others wait for memory.
   *
   * @return a positive duration
   */
  public Duration stallTime() {
    return stallTime;
  }

  /** Collects limits; not safe for use by several threads. */
  public static final class Builder {
    private int connections = 1024;
    private int optionBytes = 64 << 10;
    private int options = 128;
    private int payloadBytes = Nbd.DEFAULT_MAX_PAYLOAD_BYTES;
    private int requestsInFlight = 256;
    private long connectionBytes = 64L << 20;
    private long serverBytes = 256L << 20;
    private Duration handshakeTime = Duration.ofSeconds(10);
    private Duration idleTime = Duration.ZERO;
    private Duration stallTime = Duration.ofSeconds(10);

    private Builder() {}

    /**
     * Sets the number of connections; 1024 unless set. More are closed at once.
     *
     * @param count one or more
     * @return this
     */
    public Builder connections(int count) {
      connections = atLeast("connections", count, 1);
      return this;
    }

    /**
     * Sets the bytes of data that one option may have; 64 KiB unless set. More is skipped and
     * answered with NBD_REP_ERR_TOO_BIG.
     *
     * @param bytes 4102 (a name of full length) to 65536
     * @return this
     */
    public Builder optionBytes(int bytes) {
      optionBytes = Math.min(atLeast("optionBytes", bytes, Nbd.MAX_STRING_BYTES + 6), 64 << 10);
      return this;
    }

    /**
     * Sets the number of options in one handshake; 128 unless set. One more ends the connection.
     *
     * @param count one or more
     * @return this
     */
    public Builder options(int count) {
      options = atLeast("options", count, 1);
      return this;
    }

    /**
     * Sets the bytes that one READ or WRITE may carry; 32 MiB unless set, as the protocol wants.
     *
     * @param bytes 65536 or more
     * @return this
     */
    public Builder payloadBytes(int bytes) {
      payloadBytes = atLeast("payloadBytes", bytes, 64 << 10);
      return this;
    }

    /**
     * Sets the number of requests of one connection that are worked on at once; 256 unless set.
     * More wait in the socket.
     *
     * @param count one or more
     * @return this
     */
    public Builder requestsInFlight(int count) {
      requestsInFlight = atLeast("requestsInFlight", count, 1);
      return this;
    }

    /**
     * Sets the bytes that the requests of one connection may hold; 64 MiB unless set, raised to the
     * payload's limit if lower.
     *
     * @param bytes one or more
     * @return this
     */
    public Builder connectionBytes(long bytes) {
      connectionBytes = bytes;
      return this;
    }

    /**
     * Sets the bytes that the requests of all connections may hold; 256 MiB unless set, raised to
     * one connection's limit if lower.
     *
     * @param bytes one or more
     * @return this
     */
    public Builder serverBytes(long bytes) {
      serverBytes = bytes;
      return this;
    }

    /**
     * Sets the time for the handshake; 10 seconds unless set.
     *
     * @param time a positive duration
     * @return this
     */
    public Builder handshakeTime(Duration time) {
      handshakeTime = positive("handshakeTime", time);
      return this;
    }

    /**
     * Sets the time after which a client that asks nothing is disconnected; never unless set.
     *
     * @param time zero for never
     * @return this
     */
    public Builder idleTime(Duration time) {
      idleTime = time.isZero() ? time : positive("idleTime", time);
      return this;
    }

    /**
     * Sets within which time a client has to take or send a sixteenth of the memory that it holds,
     * while others wait for memory; 10 seconds unless set.
     *
     * @param time a positive duration
     * @return this
     */
    public Builder stallTime(Duration time) {
      stallTime = positive("stallTime", time);
      return this;
    }

    /**
     * Makes the limits.
     *
     * @return immutable limits
     */
    public NbdLimits build() {
      return new NbdLimits(this);
    }

    private static int atLeast(String name, int value, int least) {
      if (value < least) {
        throw new IllegalArgumentException("too small: " + name + "=" + value + " least=" + least);
      }
      return value;
    }

    private static Duration positive(String name, Duration time) {
      if (time.isZero() || time.isNegative()) {
        throw new IllegalArgumentException("must be positive: " + name + "=" + time);
      }
      return time;
    }
  }
}
