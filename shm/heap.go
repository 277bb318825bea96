package shm

import (
	"fmt"

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

// claim takes n free units of g for m, with memory unless holed is set; ok is false where there is no such run.
func (g *segment) claim(n int, m Member, holed bool) (r run, ok bool) {
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
			k := g.freeFrom(i, n, holed)
			if k < n {
				i += k + 1
				continue
			}
			if r, ok = g.take(i, n, m, true); ok {
				if small {
					g.hint.Store(uint32(i + n))
				}
				return r, true
			}
			i++ // somebody was faster
		}
	}
	return r, false
}

// freeFrom counts the free units from i on, up to n: those with memory, or all.
func (g *segment) freeFrom(i, n int, holed bool) int {
	for k := range n {
		if w := layout.Word(g.entries[i+k].Word.Load()); w.State() != layout.Free && !(holed && w.State() == layout.Holed) {
			return k
		}
	}
	return n
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

// allocRun allocates whole units: such as have memory, then any, then new ones.
func (s *space) allocRun(size int64) (*segment, int, error) {
	for {
		count := 0
		for _, holed := range []bool{false, true} {
			for count = 0; count < layout.Segments; count++ {
				g, err := s.segment(count)
				if err != nil {
					return nil, 0, err
				}
				if g == nil {
					break
				}
				n := (size + int64(1)<<g.shift - 1) >> g.shift
				if n > int64(g.units) {
					continue
				}
				r, ok := g.claim(int(n), s.self, holed)
				if !ok {
					continue
				}
				if r.holes {
					if err := s.refill(r); err != nil {
						r.abandon()
						return nil, 0, fmt.Errorf("%d bytes in %v: %w", size, s, err)
					}
				}
				r.own()
				return g, r.first, nil
			}
		}
		if err := s.grow(count, size); err != nil {
			return nil, 0, err
		}
	}
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
