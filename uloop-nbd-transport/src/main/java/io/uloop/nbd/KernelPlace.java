/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.nbd;

import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Which kernel device a place means.
 *
 * @param driver whose it is
 * @param index its number, or empty for the next that is free
 */
record KernelPlace(Driver driver, OptionalInt index) {

  /** The drivers that can have a program behind them. */
  enum Driver {
    NBD,
    LOOP
  }

  private static final Pattern PLACE = Pattern.compile("/dev/(nbd|loop)(0|[1-9][0-9]{0,6})?");

  /** Reads {@code /dev/nbd}, {@code /dev/nbdN}, {@code /dev/loop} or {@code /dev/loopN}. */
  static Optional<KernelPlace> of(String place) {
    Matcher matcher = PLACE.matcher(place);
    if (!matcher.matches()) {
      return Optional.empty();
    }
    String number = matcher.group(2);
    return Optional.of(
        new KernelPlace(
            matcher.group(1).equals("nbd") ? Driver.NBD : Driver.LOOP,
            number == null ? OptionalInt.empty() : OptionalInt.of(Integer.parseInt(number))));
  }
}
