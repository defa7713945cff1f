/* SPDX-License-Identifier: Apache-2.0 */
package io.uloop.core;

import static org.openjdk.jcstress.annotations.Expect.ACCEPTABLE;
import static org.openjdk.jcstress.annotations.Expect.FORBIDDEN;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.IIJ_Result;
import org.openjdk.jcstress.infra.results.II_Result;
import org.openjdk.jcstress.infra.results.JJJ_Result;

/** What threads that meet at the bits may see; run by {@link InterleavingTest}. */
public class PagedBitsInterleavings {

  private PagedBitsInterleavings() {}

  private static final long[] ONES = new long[PagedBits.PAGE_BYTES / 8];

  static {
    java.util.Arrays.fill(ONES, -1L);
  }

  private static PagedBits full() {
    PagedBits bits = new PagedBits(PagedBits.PAGE_BITS);
    bits.load(0, ONES);
    return bits;
  }

  /** Who sees a bit sees what was written before it was set. */
  @JCStressTest
  @Outcome(id = "0, -1", expect = ACCEPTABLE, desc = "came before")
  @Outcome(id = "1, 42", expect = ACCEPTABLE, desc = "the bit, and what it speaks of")
  @Outcome(expect = FORBIDDEN, desc = "the bit without its data")
  @State
  public static class Publication {
    private final PagedBits bits = new PagedBits(100);
    private int data;

    @Actor
    public void store() {
      data = 42;
      bits.set(70, 71);
    }

    @Actor
    public void read(II_Result r) {
      r.r1 = bits.all(70, 71) ? 1 : 0;
      r.r2 = r.r1 == 1 ? data : -1;
    }
  }

  /** Each bit is counted by one of those who set it; the first to come makes the page. */
  @JCStressTest
  @Outcome(id = "40, 20, 60", expect = ACCEPTABLE)
  @Outcome(id = "20, 40, 60", expect = ACCEPTABLE)
  @Outcome(expect = FORBIDDEN, desc = "counted twice, or lost")
  @State
  public static class TwoSetters {
    private final PagedBits bits = new PagedBits(100);

    @Actor
    public void first(JJJ_Result r) {
      r.r1 = bits.set(0, 40);
    }

    @Actor
    public void second(JJJ_Result r) {
      r.r2 = bits.set(20, 60);
    }

    @Arbiter
    public void count(JJJ_Result r) {
      r.r3 = bits.count();
    }
  }

  /** Two clears of a page that is the shared full one agree on the copy. */
  @JCStressTest
  @Outcome(id = "1, 1, 32766", expect = ACCEPTABLE)
  @Outcome(expect = FORBIDDEN, desc = "a clear was lost")
  @State
  public static class TwoClearsOfAFullPage {
    private final PagedBits bits = full();

    @Actor
    public void first(JJJ_Result r) {
      r.r1 = bits.clear(3, 4);
    }

    @Actor
    public void second(JJJ_Result r) {
      r.r2 = bits.clear(900, 901);
    }

    @Arbiter
    public void count(JJJ_Result r) {
      r.r3 = bits.count();
    }
  }

  /** A set that finds the full page has come before the clear. */
  @JCStressTest
  @Outcome(id = "1, 0, 32767", expect = ACCEPTABLE, desc = "set, then cleared")
  @Outcome(id = "1, 1, 32768", expect = ACCEPTABLE, desc = "cleared, then set")
  @Outcome(expect = FORBIDDEN)
  @State
  public static class SetAndClearOfAFullPage {
    private final PagedBits bits = full();

    @Actor
    public void clear(JJJ_Result r) {
      r.r1 = bits.clear(3, 4);
    }

    @Actor
    public void set(JJJ_Result r) {
      r.r2 = bits.set(3, 4);
    }

    @Arbiter
    public void count(JJJ_Result r) {
      r.r3 = bits.count();
    }
  }

  /** The committer's way: a change is in its copy, or the page is dirty for the next round. */
  @JCStressTest
  @Outcome(id = "1, 0, 1", expect = ACCEPTABLE, desc = "in this round")
  @Outcome(id = "1, 1, 1", expect = ACCEPTABLE, desc = "in this round, and again")
  @Outcome(id = "0, 1, 1", expect = ACCEPTABLE, desc = "in the next round")
  @Outcome(id = "0, 0, .*", expect = FORBIDDEN, desc = "never committed")
  @Outcome(expect = FORBIDDEN)
  @State
  public static class DirtyPage {
    private final PagedBits bits = new PagedBits(64);
    private final PagedBits dirty = new PagedBits(1);

    public DirtyPage() {
      bits.set(1, 2);
      dirty.set(0, 1);
    }

    @Actor
    public void store() {
      bits.set(0, 1);
      dirty.set(0, 1);
    }

    @Actor
    public void commit(IIJ_Result r) {
      dirty.clear(0, 1);
      r.r1 = (int) (bits.copyOf(0)[0] & 1);
    }

    @Arbiter
    public void after(IIJ_Result r) {
      r.r2 = dirty.get(0) ? 1 : 0;
      r.r3 = bits.all(0, 2) ? 1 : 0;
    }
  }

  /** A reader inside the gate finds the block as it was, or finds its bit cleared. */
  @JCStressTest
  @Outcome(id = "42, 0", expect = ACCEPTABLE, desc = "read before")
  @Outcome(id = "-1, 0", expect = ACCEPTABLE, desc = "came after")
  @Outcome(expect = FORBIDDEN, desc = "a hole was read")
  @State
  public static class GateOfTheEvictor {
    private final PagedBits bits = new PagedBits(64);
    private final ReaderGate gate = new ReaderGate();
    private int data = 42;

    public GateOfTheEvictor() {
      bits.set(0, 1);
    }

    @Actor
    public void read(II_Result r) {
      long entered = gate.enter();
      r.r1 = bits.all(0, 1) ? data : -1;
      gate.leave(entered);
    }

    @Actor
    public void evict() {
      bits.clear(0, 1);
      gate.awaitReaders();
      data = 0;
    }

    @Arbiter
    public void after(II_Result r) {
      r.r2 = data;
    }
  }
}
