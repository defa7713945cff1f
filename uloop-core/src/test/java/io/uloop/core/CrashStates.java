/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import io.uloop.core.RecordingStorage.Change;
import io.uloop.core.RecordingStorage.Deleted;
import io.uloop.core.RecordingStorage.DirectoryForced;
import io.uloop.core.RecordingStorage.Forced;
import io.uloop.core.RecordingStorage.Made;
import io.uloop.core.RecordingStorage.Punched;
import io.uloop.core.RecordingStorage.Replaced;
import io.uloop.core.RecordingStorage.Sized;
import io.uloop.core.RecordingStorage.Wrote;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/**
 * Makes the states that a power cut may leave, from a log of changes.
 *
 * <p>The cut comes after any number of changes. What a file was forced to hold it holds. Of each
 * later write any set of its sectors may have reached the disk, so that every sector has one of the
 * contents it ever had since; that covers lost, torn and reordered writes. Later changes of size
 * and later holes happened or not. A name that was made, and no force of the directory since, may
 * be gone with all that the file held.
 */
final class CrashStates {

  private static final int SECTOR = 512;

  /** Looks at one state. */
  interface Check {
    /**
     * Looks.
     *
     * @param changes after how many changes the power was cut
     */
    void look(MemoryStorage state, int changes) throws Exception;
  }

  private final List<Change> log;
  private final Random random;

  // As of the prefix of the log that has been gone through.
  private final Map<Path, MemoryStorage.Image> durable = new HashMap<>();
  private final Map<Path, List<Change>> pending = new HashMap<>();
  private final Set<Path> madeLately = new HashSet<>();
  private final Set<Path> deletedLately = new HashSet<>();

  /**
   * Begins before the first change.
   *
   * @param before the files as they were, all durable
   */
  CrashStates(MemoryStorage before, List<Change> log, Random random) {
    this.log = log;
    this.random = random;
    before.files().forEach((path, image) -> durable.put(path, image.copy()));
  }

  /**
   * Has states looked at: for each prefix the two extremes, nothing and everything of what is
   * pending, and a number of random ones between.
   *
   * @return how many
   */
  int each(int randomOnesPerPrefix, Check check) throws Exception {
    int states = 0;
    for (int changes = 0; ; changes++) {
      check.look(state(0), changes);
      check.look(state(1), changes);
      states += 2;
      for (int i = 0; i < randomOnesPerPrefix; i++, states++) {
        check.look(state(random.nextInt(1, 10) / 10.0), changes);
      }
      if (changes == log.size()) {
        return states;
      }
      advance(log.get(changes));
    }
  }

  private void advance(Change change) {
    Path path = change.path();
    if (change instanceof Forced) {
      MemoryStorage.Image image = durable.get(path);
      pending.getOrDefault(path, List.of()).forEach(c -> apply(image, c, 1));
      pending.remove(path);
    } else if (change instanceof DirectoryForced) {
      madeLately.removeIf(made -> path.equals(made.getParent()));
      for (Path gone : List.copyOf(deletedLately)) {
        if (path.equals(gone.getParent())) {
          deletedLately.remove(gone);
          durable.remove(gone);
          pending.remove(gone);
        }
      }
    } else if (change instanceof Replaced replaced) {
      MemoryStorage.Image image = new MemoryStorage().image(path);
      image.write(0, replaced.content(), 0, replaced.content().length);
      durable.put(path, image);
      pending.remove(path);
      deletedLately.remove(path);
      advance(new DirectoryForced(path.getParent()));
    } else if (change instanceof Deleted) {
      deletedLately.add(path);
    } else if (change instanceof Made made) {
      durable.put(path, new MemoryStorage.Image(made.key()));
      pending.remove(path);
      deletedLately.remove(path);
      madeLately.add(path);
    } else {
      pending.computeIfAbsent(path, p -> new ArrayList<>()).add(change);
    }
  }

  /**
   * Makes one state.
   *
   * @param survives how likely each pending thing is to have reached the disk
   */
  private MemoryStorage state(double survives) {
    MemoryStorage state = new MemoryStorage();
    durable.forEach(
        (path, image) -> {
          boolean there =
              madeLately.contains(path)
                  ? random.nextDouble() < survives
                  : !deletedLately.contains(path) || random.nextDouble() >= survives;
          if (there) {
            MemoryStorage.Image copy = image.copy();
            pending.getOrDefault(path, List.of()).forEach(c -> apply(copy, c, survives));
            state.files().put(path, copy);
          }
        });
    return state;
  }

  private void apply(MemoryStorage.Image image, Change change, double survives) {
    if (change instanceof Wrote wrote) {
      int length = wrote.bytes().length;
      for (int at = 0; at < length; ) {
        int end = (int) Math.min(length, at + SECTOR - (wrote.position() + at) % SECTOR);
        if (survives >= 1 || random.nextDouble() < survives) {
          image.write(wrote.position(), wrote.bytes(), at, end);
        }
        at = end;
      }
    } else if (survives >= 1 || random.nextDouble() < survives) {
      if (change instanceof Sized sized) {
        image.setSize(sized.size());
      } else if (change instanceof Punched punched) {
        image.punch(punched.position(), punched.length());
      } else {
        throw new AssertionError(change);
      }
    }
  }
}
