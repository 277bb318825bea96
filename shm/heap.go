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

// claim takes n free units of g for m and returns the first; ok is false where there is no such run.
func (g *segment) claim(n int, m Member) (first int, ok bool) {
	last := g.units - n
	if last < 0 {
		return 0, false
	}
	from := 0 // large runs start at the beginning, to leave room for large runs
	small := n <= g.units/8
	if small {
		from = min(int(g.hint.Load()), last)
	}
	for _, part := range [2][2]int{{from, last}, {0, from - 1}} {
		for i := part[0]; i <= part[1]; {
			k := g.freeFrom(i, n)
			if k < n {
				i += k + 1
				continue
			}
			if g.take(i, n, m) {
				if small {
					g.hint.Store(uint32(i + n))
				}
				return i, true
			}
			i++ // somebody was faster
		}
	}
	return 0, false
}

// freeFrom counts the free units from i on, up to n.
func (g *segment) freeFrom(i, n int) int {
	for k := range n {
		if layout.Word(g.entries[i+k].Word.Load()).State() != layout.Free {
			return k
		}
	}
	return n
}

// take claims units i … i+n-1 for m, or none.
func (g *segment) take(i, n int, m Member) bool {
	first := &g.entries[i].Word
	w := layout.Word(first.Load())
	if w.State() != layout.Free {
		return false
	}
	owned := w.To(layout.Owned, m)
	if n == 1 {
		return first.CompareAndSwap(uint64(w), uint64(owned))
	}
	claimed := w.To(layout.Claim, m)
	if !first.CompareAndSwap(uint64(w), uint64(claimed)) {
		return false
	}
	for k := 1; k < n; k++ {
		f := layout.Word(g.entries[i+k].Word.Load())
		if f.State() != layout.Free ||
			!g.entries[i+k].Word.CompareAndSwap(uint64(f), uint64(layout.MakeWord(layout.Cont, Member(k), f.Seq()))) {
			g.giveBack(i, claimed)
			return false
		}
	}
	// Nobody but the reapers of a dead member changes CLAIM{m}, and m lives.
	return first.CompareAndSwap(uint64(claimed), uint64(owned))
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
			e.CompareAndSwap(uint64(f), uint64(f.Freed()))
		}
	}
	first.CompareAndSwap(uint64(w), uint64(w.Freed()))
}

// allocRun allocates whole units.
func (s *space) allocRun(size int64) (*segment, int, error) {
	for {
		count := 0
		for i := 0; i < layout.Segments; i++ {
			g, err := s.segment(i)
			if err != nil {
				return nil, 0, err
			}
			if g == nil {
				break
			}
			count++
			n := (size + int64(1)<<g.shift - 1) >> g.shift
			if n > int64(g.units) {
				continue
			}
			if first, ok := g.claim(int(n), s.self); ok {
				return g, first, nil
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
