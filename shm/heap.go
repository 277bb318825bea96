package shm

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// The heap: units of a segment, described by a dense table of entry words. A run of units belongs to the word of its
// first unit; the followers only point back to it (Cont). Whoever owns a block is in that word, written by the CAS that
// gives it ownership, so a dead owner's blocks are found by looking at the words, and nothing else has to be right.
//
//	claim a run:   first FREE -> CLAIM{me};  followers FREE -> CONT, in order;  first CLAIM{me} -> OWNED{me}
//	give it back:  followers CONT -> FREE, from the end;  first -> FREE
//	punch it:      claim it as above, but not to the end;  MADV_REMOVE;  give it back as HOLED
//	claim a HOLED: as a FREE one, and while it is CLAIM{me}, reserve its memory again
//
// FREE has memory, HOLED may have none. A CLAIM may, too, so that of a dead member is given back as HOLED, and only its
// owner touches the memory of the run, or takes it away: killed or stopped anywhere, it is nobody else's.
//
// At every instant the followers of a run are exactly the CONT words behind its first unit, without a gap. Whoever gives
// back the run of a dead member does the same steps, and any number may do them at once: each CAS names the sequence
// number that it saw, and each follower is freed only while the first word is still the one that was judged.

// A Block is memory of the heap. Its bytes are zero when it is allocated.
type Block struct {
	Ref   Ref
	Bytes []byte

	entry *layout.Entry
	seq   uint32
}

// IsZero tells whether there is no block at all.
func (b Block) IsZero() bool { return b.entry == nil }

// A run is what claim takes: units of g from first on. Unless it had one unit with memory, its word says CLAIM.
type run struct {
	g        *segment
	first, n int
	claimed  layout.Word // of the first unit
	holes    bool        // its memory may be missing
}

// A claim is one that stands in the way of another: a word, and its value.
type claim struct {
	word  *atomic.Uint64
	value uint64
}

// claim takes n free units of g for m, with memory unless holed is set; ok is false where there is no such run. met tells
// whether there may be one soon: of somebody's claim that is in the way, and that we have not waited for in vain.
func (s *space) claim(g *segment, n int, m Member, holed bool, met *claim) (r run, ok bool) {
	last := g.units - n
	if last < 0 {
		return r, false
	}
	from := 0 // large runs start at the beginning, to leave room for large runs
	small := n <= g.units/8
	if small {
		from = min(int(g.hint.Load()), last)
	}
	for _, part := range [2][2]int{{from, last}, {0, from - 1}} {
		for i := part[0]; i <= part[1]; {
			k, w := g.freeFrom(i, n, holed)
			if k < n {
				if in := (claim{&g.entries[i+k].Word, uint64(w)}); w.State() == layout.Claim && !s.isStuck(in) {
					*met = in
				}
				i += k + 1
				continue
			}
			if r, ok = g.take(i, n, m, true); ok {
				if small {
					g.hint.Store(uint32(i + n))
				}
				return r, true
			}
			*met = claim{&g.entries[i].Word, 0} // somebody was faster, and may have had to give up, too
			i++
		}
	}
	return r, false
}

// freeFrom counts the free units from i on, up to n: those with memory, or all. The word is that of the one which is not.
func (g *segment) freeFrom(i, n int, holed bool) (int, layout.Word) {
	for k := range n {
		if w := layout.Word(g.entries[i+k].Word.Load()); w.State() != layout.Free && !(holed && w.State() == layout.Holed) {
			return k, w
		}
	}
	return n, 0
}

// take claims units i … i+n-1 for m, or none. With own set, one unit with memory becomes OWNED at once.
func (g *segment) take(i, n int, m Member, own bool) (r run, ok bool) {
	first := &g.entries[i].Word
	w := layout.Word(first.Load())
	if !w.Unused() {
		return r, false
	}
	r = run{g: g, first: i, n: n, claimed: w.To(layout.Claim, m), holes: w.State() == layout.Holed}
	if own && n == 1 && !r.holes {
		r.claimed = w.To(layout.Owned, m)
	}
	if !first.CompareAndSwap(uint64(w), uint64(r.claimed)) {
		return r, false
	}
	for k := 1; k < n; k++ {
		f := layout.Word(g.entries[i+k].Word.Load())
		holed := f.State() == layout.Holed
		if !f.Unused() ||
			!g.entries[i+k].Word.CompareAndSwap(uint64(f), uint64(layout.MakeWord(layout.Cont, Member(k), f.Seq()))) {
			r.abandon()
			return r, false
		}
		r.holes = r.holes || holed
	}
	return r, true
}

// abandon gives back what was claimed. We know what we took: without a hole it is FREE again.
func (r run) abandon() {
	var to layout.Word = layout.Free
	if r.holes {
		to = layout.Doubtful
	}
	r.g.giveBackAs(r.first, r.claimed, to)
}

// own ends the claim. Nobody but the reapers of a dead member changes CLAIM{m}, and m lives.
func (r run) own() {
	if r.claimed.State() == layout.Claim {
		r.g.entries[r.first].Word.CompareAndSwap(uint64(r.claimed), uint64(r.claimed.To(layout.Owned, r.claimed.Member())))
	}
}

// length is the number of units in the run of unit i.
func (g *segment) length(i int) int {
	n := 1
	for i+n < g.units {
		if w := layout.Word(g.entries[i+n].Word.Load()); w.State() != layout.Cont || w.A() != n {
			break
		}
		n++
	}
	return n
}

// giveBack frees the run of unit i, whose first word is w: for its owner, or for a dead one. Many may do it at once.
func (g *segment) giveBack(i int, w layout.Word) {
	var to layout.Word = layout.Free
	if w.State() == layout.Claim {
		to = layout.Doubtful // its owner died before it had reserved the memory, or when it was taking it away
	}
	g.giveBackAs(i, w, to)
}

func (g *segment) giveBackAs(i int, w, to layout.Word) {
	first := &g.entries[i].Word
	for k := g.length(i) - 1; k >= 1; k-- {
		e := &g.entries[i+k].Word
		f := layout.Word(e.Load())
		if first.Load() != uint64(w) {
			return // another one has finished; what we see may already be somebody else's
		}
		// Read before the first word was still w, and a follower of i: so it belongs to w's run. A later life of the unit
		// has another sequence number, and the CAS fails.
		if f.State() == layout.Cont && f.A() == k {
			e.CompareAndSwap(uint64(f), uint64(f.FreedAs(to)))
		}
	}
	first.CompareAndSwap(uint64(w), uint64(w.FreedAs(to)))
	if to != layout.Holed && g.index > 0 && !g.freed.Load() {
		g.freed.Store(true) // there may be something to give back to the system
	}
}

// allocRun allocates whole units: such as have memory, then any, then new ones. Room that somebody has claimed may come back
// within a moment, where it is being given back to the system or two have got into each other's way; there is no event for
// that. So a new segment waits for it a little, and an error somewhat longer. One who is stopped there is waited for once.
func (s *space) allocRun(size int64) (*segment, int, error) {
	const (
		pause        = 50 * time.Microsecond // the first one; each is twice as long as the one before
		beforeGrowth = 5                     // pauses: 1.5 ms in all
		beforeFull   = 12                    // 0.2 s
	)
	var first claim
	for k := 0; ; k++ {
		var met claim
		r, segments, err := s.search(size, &met)
		if err != nil || r.g != nil {
			return r.g, r.first, err
		}
		if k == 0 {
			first = met
		}
		if met.word == nil || k >= beforeGrowth {
			err := s.grow(segments, size)
			if err == nil {
				continue
			}
			if met.word == nil || k >= beforeFull || !errors.Is(err, ErrNoSpace) {
				if met.word != nil && met == first {
					s.stuck.Store(met.word, met.value)
				}
				return nil, 0, err
			}
		}
		s.root.Wanted.Add(1)
		time.Sleep(pause << k)
	}
}

// isStuck tells whether we have waited for a claim in vain.
func (s *space) isStuck(c claim) bool {
	value, ok := s.stuck.Load(c.word)
	return ok && value == c.value
}

// search takes a run in one of the segments there are; in none of them, r.g is nil.
func (s *space) search(size int64, met *claim) (r run, segments int, err error) {
	for _, holed := range []bool{false, true} {
		for segments = 0; segments < layout.Segments; segments++ {
			g, err := s.segment(segments)
			if err != nil {
				return run{}, 0, err
			}
			if g == nil {
				break
			}
			n := (size + int64(1)<<g.shift - 1) >> g.shift
			if n > int64(g.units) {
				continue
			}
			r, ok := s.claim(g, int(n), s.self, holed, met)
			if !ok {
				continue
			}
			if r.holes {
				if err := s.refill(r); err != nil {
					r.abandon()
					return run{}, 0, fmt.Errorf("%d bytes in %v: %w", size, s, err)
				}
			}
			r.own()
			return r, segments, nil
		}
	}
	return run{}, segments, nil
}

// alloc allocates size bytes for this process: OWNED by it until it is published, and free again should it die first.
func (s *space) alloc(size int64) (Block, error) {
	if size < 1 || size > s.limit {
		return Block{}, fmt.Errorf("a block of %d bytes, %v has %s: %w", size, s, s.limitText(), ErrNoSpace)
	}
	if class, ok := dataClass(size); ok {
		return s.allocSmall(class)
	}
	g, first, err := s.allocRun(size)
	if err != nil {
		return Block{}, err
	}
	e := &g.entries[first]
	off, end := g.unit(first), g.unit(first+g.zero(first))
	if end-off < size { // we claimed more: somebody has damaged the entries
		return Block{}, fmt.Errorf("a block of %d bytes in %v became one of %d: %w", size, s, end-off, ErrCorrupt)
	}
	return Block{Ref: layout.MakeRef(g.index, off), Bytes: g.mem[off:end:end], entry: e,
		seq: layout.Word(e.Word.Load()).Seq()}, nil
}

// zero clears the run of unit i, which we own, and returns its length. Memory that was never given back still is as the
// kernel made it.
func (g *segment) zero(i int) int {
	n := g.length(i)
	for k := i; k < i+n; k++ {
		if layout.Word(g.entries[k].Word.Load()).Seq() != 0 {
			clear(g.mem[g.unit(k):g.unit(k+1)])
		}
	}
	return n
}

// errNoBlock: a Ref leads to no block of the heap.
var errNoBlock = fmt.Errorf("%w: no block", ErrCorrupt)

// found is where a Ref leads: an entry, and the memory it describes.
type found struct {
	g      *segment
	entry  *layout.Entry
	unit   int  // index of the first unit, -1 for a block of a slab
	header bool // of an object
	bytes  []byte
}

// find follows a Ref that may come from anywhere. It says what is there now, not that it stays.
func (s *space) find(r Ref) (found, error) {
	bad := func(why string) (found, error) {
		return found{}, fmt.Errorf("ref %v of %v: %s: %w", r, s, why, errNoBlock)
	}
	g, err := s.segment(r.Segment())
	if err != nil {
		return found{}, err
	}
	if g == nil {
		return bad("no such segment")
	}
	off := r.Offset()
	i, ok := g.unitOf(off)
	if !ok {
		return bad("outside of the heap")
	}
	first := i
	w := layout.Word(g.entries[i].Word.Load())
	if w.State() == layout.Cont {
		if first -= w.A(); first < 0 {
			return bad("a run without a start")
		}
		w = layout.Word(g.entries[first].Word.Load())
	}
	if w.State() == layout.Slab {
		b, err := s.slabAt(g, first)
		if err != nil {
			return found{}, err
		}
		k := (off - b.start - int64(b.first)) / int64(b.block)
		if off < b.start+int64(b.first) || k >= int64(len(b.entries)) || b.at(int(k)) != off {
			return bad("not the start of a block")
		}
		return b.found(int(k)), nil
	}
	if first != i || off != g.unit(i) {
		return bad("not the start of a block")
	}
	end := g.unit(first + g.length(first))
	return found{g: g, entry: &g.entries[first], unit: first, bytes: g.mem[off:end:end]}, nil
}

// free gives a block back that is in state w.
func (f found) free(w layout.Word) {
	if f.unit < 0 {
		f.entry.Word.CompareAndSwap(uint64(w), uint64(w.Freed()))
		return
	}
	f.g.giveBack(f.unit, w)
}
