/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;

/** Fails one step of its choice, or all steps of a kind, of the storage below it. */
final class FaultStorage implements Storage {

  /** How a step fails. */
  enum Fault {
    EIO("Input/output error"),
    ENOSPC("No space left on device"),
    SHORT("short");

    private final String message;

    Fault(String message) {
      this.message = message;
    }
  }

  private final Storage below;
  private boolean mappable = true;
  private Predicate<Path> unforced = path -> false;

  private final Map<String, Runnable> hook = new ConcurrentHashMap<>();

  // Guarded by this.
  private final List<String> steps = new ArrayList<>();
  private int failing = -1;
  private Fault fault = Fault.EIO;
  private Predicate<String> always = step -> false;
  private String failed;

  FaultStorage(Storage below) {
    this.below = below;
  }

  /** Refuses to map files, so that all reads are steps. */
  FaultStorage unmappable() {
    mappable = false;
    return this;
  }

  /** Leaves the forces out, which cost much and do nothing that a test could see. */
  FaultStorage unforced() {
    return unforced(path -> true);
  }

  /** As {@link #unforced()}, for some files. */
  FaultStorage unforced(Predicate<Path> which) {
    unforced = which;
    return this;
  }

  /** Runs something, once, before a step such as {@code force c} is done or fails. */
  void before(String step, Runnable what) {
    hook.put(step, what);
  }

  /** Makes step number {@code step}, counted from now on, fail once. */
  synchronized void failStep(int step, Fault how) {
    steps.clear();
    failing = step;
    fault = how;
    failed = null;
  }

  /** Makes all steps fail whose name, such as {@code write c}, fits. */
  synchronized void failAlways(Predicate<String> which, Fault how) {
    always = which;
    fault = how;
  }

  synchronized void heal() {
    failing = -1;
    always = step -> false;
  }

  /** The step that failed, or null. */
  synchronized String failed() {
    return failed;
  }

  synchronized List<String> steps() {
    return List.copyOf(steps);
  }

  /** Counts a step and fails it if it is its turn. */
  private void step(String what, Path path) throws IOException {
    Fault now = turn(what, path);
    if (now != null) {
      throw new IOException(now.message);
    }
  }

  private Fault turn(String what, Path path) {
    Runnable first = hook.remove(what + " " + path.getFileName());
    if (first != null) {
      first.run();
    }
    return counted(what, path);
  }

  private synchronized Fault counted(String what, Path path) {
    String step = what + " " + path.getFileName();
    boolean fails = steps.size() == failing || always.test(step);
    steps.add(step);
    if (fails) {
      failed = step;
      return fault;
    }
    return null;
  }

  @Override
  public File open(Path path, Mode mode) throws IOException {
    step("open", path);
    return new Faulty(below.open(path, mode));
  }

  @Override
  public boolean exists(Path path) {
    return below.exists(path);
  }

  @Override
  public Path target(Path path) throws IOException {
    return below.target(path);
  }

  @Override
  public String key(Path path) throws IOException {
    return below.key(path);
  }

  @Override
  public byte[] readAll(Path path) throws IOException {
    step("readAll", path);
    return below.readAll(path);
  }

  @Override
  public void replace(Path path, byte[] content) throws IOException {
    step("replace", path);
    if (!unforced.test(path)) {
      below.replace(path, content);
    } else {
      Files.write(path, content);
    }
  }

  @Override
  public void forceDirectory(Path directory) throws IOException {
    step("forceDirectory", directory);
    if (!unforced.test(directory)) {
      below.forceDirectory(directory);
    }
  }

  @Override
  public void delete(Path path) throws IOException {
    step("delete", path);
    below.delete(path);
  }

  private final class Faulty implements File {
    private final File file;

    Faulty(File file) {
      this.file = file;
    }

    @Override
    public Path path() {
      return file.path();
    }

    @Override
    public long size() throws IOException {
      step("size", path());
      return file.size();
    }

    @Override
    public void setSize(long size) throws IOException {
      step("setSize", path());
      file.setSize(size);
    }

    @Override
    public void read(ByteBuffer dst, long position) throws IOException {
      Fault now = turn("read", path());
      if (now == Fault.SHORT) {
        int half = dst.remaining() / 2;
        ByteBuffer first = dst.duplicate();
        file.read(first.limit(first.position() + half), position);
        dst.position(dst.position() + half);
        throw new EOFException("ends at " + (position + half));
      } else if (now != null) {
        throw new IOException(now.message);
      }
      file.read(dst, position);
    }

    @Override
    public void write(ByteBuffer src, long position) throws IOException {
      Fault now = turn("write", path());
      if (now != null) {
        // Half of it gets there, as on a volume that fills up.
        ByteBuffer first = src.duplicate();
        file.write(first.limit(first.position() + src.remaining() / 2), position);
        throw new IOException(now == Fault.SHORT ? Fault.ENOSPC.message : now.message);
      }
      file.write(src, position);
    }

    @Override
    public void force() throws IOException {
      step("force", path());
      if (!unforced.test(path())) {
        file.force();
      }
    }

    @Override
    public void punch(long position, long length) throws IOException {
      step("punch", path());
      file.punch(position, length);
    }

    @Override
    public long allocatedBytes() throws IOException {
      step("allocatedBytes", path());
      return file.allocatedBytes();
    }

    @Override
    public String key() {
      return file.key();
    }

    @Override
    public String mark() throws IOException {
      return file.mark();
    }

    @Override
    public void setMark(String mark) throws IOException {
      step("setMark", path());
      file.setMark(mark);
    }

    @Override
    public ByteBuffer map(long position, long length) throws IOException {
      if (!mappable) {
        return null;
      }
      step("map", path());
      return file.map(position, length);
    }

    @Override
    public long transferTo(long position, long length, WritableByteChannel target)
        throws IOException {
      step("transferTo", path());
      return file.transferTo(position, length, target);
    }

    @Override
    public boolean tryLock() throws IOException {
      step("tryLock", path());
      return file.tryLock();
    }

    @Override
    public void close() throws IOException {
      file.close();
      step("close", path());
    }
  }
}
