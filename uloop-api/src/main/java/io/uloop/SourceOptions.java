/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * How a source is opened; immutable.
 *
 * @since 0.1
 */
public final class SourceOptions {

  private static final SourceOptions DEFAULTS = builder().build();

  private final Duration timeout;
  private final boolean writable;
  private final Map<String, String> properties;

  private SourceOptions(Builder builder) {
    timeout = builder.timeout;
    writable = builder.writable;
    properties = Map.copyOf(builder.properties);
  }

  /**
   * Gives the options that a plain open uses.
   *
   * @return 30 seconds, read-only, no properties
   */
  public static SourceOptions defaults() {
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
   * Gives the time within which one read ends, retries included.
   *
   * @return a positive duration
   */
  public Duration timeout() {
    return timeout;
  }

  /**
   * Tells whether the source shall accept writes.
   *
   * @return whether a source that cannot be written must refuse to open
   */
  public boolean writable() {
    return writable;
  }

  /**
   * Gives a property of the scheme.
   *
   * @param name the name, as the provider documents it
   * @return the value, if one was set
   */
  public Optional<String> property(String name) {
    return Optional.ofNullable(properties.get(name));
  }

  /**
   * Gives all properties.
   *
   * @return an immutable map; values may be secret and must not be logged
   */
  public Map<String, String> properties() {
    return properties;
  }

  /** Names the properties but not their values, which may be secret. */
  @Override
  public String toString() {
    return "SourceOptions[timeout="
        + timeout
        + " writable="
        + writable
        + " properties="
        + properties.keySet()
        + "]";
  }

  /** Collects options; not safe for use by several threads. */
  public static final class Builder {
    private Duration timeout = Duration.ofSeconds(30);
    private boolean writable;
    private final Map<String, String> properties = new LinkedHashMap<>();

    private Builder() {}

    /**
     * Sets the time within which one read ends, retries included; 30 seconds unless set, since the
     * kernel's own block timeouts start there.
     *
     * @param timeout a positive duration
     * @return this
     * @throws IllegalArgumentException if it is zero or negative
     */
    public Builder timeout(Duration timeout) {
      if (timeout.isZero() || timeout.isNegative()) {
        throw new IllegalArgumentException("timeout must be positive: timeout=" + timeout);
      }
      this.timeout = timeout;
      return this;
    }

    /**
     * Sets whether the source shall accept writes; it does not unless set.
     *
     * @param writable whether it shall
     * @return this
     */
    public Builder writable(boolean writable) {
      this.writable = writable;
      return this;
    }

    /**
     * Sets a property of the scheme.
     *
     * @param name the name, as the provider documents it
     * @param value the value
     * @return this
     */
    public Builder property(String name, String value) {
      properties.put(Objects.requireNonNull(name, "name"), Objects.requireNonNull(value, "value"));
      return this;
    }

    /**
     * Makes the options.
     *
     * @return immutable options
     */
    public SourceOptions build() {
      return new SourceOptions(this);
    }
  }
}
