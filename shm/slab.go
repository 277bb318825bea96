package shm

import (
	"fmt"
	"math/rand/v2"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Slabs: runs of units cut into blocks of one class, each with an entry of its own in a table at the slab's start. A slab
// stays one for ever, so who holds a stale Ref to a block finds an entry there and never somebody's payload. Slabs of the
// object classes hold object headers and nothing else, for the same reason: a process that is late by any amount can
// still look at a header and see that it is another one now.

// slab is a slab as its header describes it; the header is immutable once the unit says so, and checked here.
type slab struct {
	g       *segment
	start   int64
	class   int
	first   uint32
	block   uint32
	units   int
	entries []layout.Entry
}

func (b *slab) at(k int) int64 { return b.start + int64(b.first) + int64(k)*int64(b.block) }

// found is block k as find finds it.
func (b *slab) found(k int) found {
	return found{g: b.g, entry: &b.entries[k], unit: -1, header: b.class >= layout.ClassObject, bytes: b.bytes(k)}
}

func (b *slab) bytes(k int) []byte {
	at := b.at(k)
	end := at + int64(b.block)
	return b.g.mem[at:end:end]
}

// dataClass is the class for a data block of size bytes, if there is one.
func dataClass(size int64) (int, bool) {
	for c := range layout.Classes {
		if size <= blockSize(c) {
			return c, true
		}
	}
	return 0, false
}

// objectClass is the class for an object header.
func objectClass(size int64) (int, bool) {
	for c := layout.ClassObject; c < layout.ClassObject+layout.ObjectClasses; c++ {
		if size <= blockSize(c) {
			return c, true
		}
	}
	return 0, false
}

// classSets is how many sets the objects of a header class have: all of a class the same number, because a process that is
// late by any amount may still add its word to a set of the object that was there before, and take it out again.
func classSets(class int) int {
	if class <= layout.ClassObject+1 {
		return 1
	}
	return 2
}

func blockSize(class int) int64 {
	if class >= layout.ClassObject {
		return 512 << (class - layout.ClassObject)
	}
	return 64 << class
}

func validClass(c int) bool {
	return c >= 0 && c < layout.Classes || c >= layout.ClassObject && c < layout.ClassObject+layout.ObjectClasses
}

// slabAt reads and checks the slab whose run starts at unit i.
func (s *space) slabAt(g *segment, i int) (*slab, error) {
	w := layout.Word(g.entries[i].Word.Load())
	start := g.unit(i)
	h := *view[layout.SlabHeader](g.mem, start)
	if !validSlab(h, w, i, g.units, g.shift) {
		return nil, fmt.Errorf("slab at unit %d of segment %d of %v: %w", i, g.index, s, ErrCorrupt)
	}
	return &slab{g: g, start: start, class: int(h.Class), first: h.First, block: h.Block, units: int(h.Units),
		entries: views[layout.Entry](g.mem, start+layout.SlabHead, int(h.Count))}, nil
}

// validSlab tells whether h, a copy, can be the header of the slab at unit i of units, whose word is w.
func validSlab(h layout.SlabHeader, w layout.Word, i, units int, shift uint) bool {
	class := int(h.Class)
	return w.State() == layout.Slab && w.A() == class && validClass(class) && int64(h.Block) == blockSize(class) &&
		h.Units > 0 && int64(i)+int64(h.Units) <= int64(units) && h.Count > 0 &&
		int64(h.First) >= layout.SlabHead+int64(h.Count)*layout.SizeEntry && h.First%64 == 0 &&
		int64(h.First)+int64(h.Count)*int64(h.Block) <= int64(h.Units)<<shift
}

// allocSmall takes a block of a slab, and makes a slab if all are full.
func (s *space) allocSmall(class int) (Block, error) {
	if r := Ref(s.found[class].Load()); r != 0 {
		if g := s.segs[r.Segment()].Load(); g != nil {
			if i, ok := g.unitOf(r.Offset()); ok {
				if b, ok, err := s.takeFrom(g, i, class); ok || err != nil {
					return b, err
				}
			}
		}
	}
	for {
		b, ok, err := s.takeAnywhere(class)
		if ok || err != nil {
			return b, err
		}
		if err := s.newSlab(class); err != nil {
			return Block{}, err
		}
	}
}

func (s *space) takeAnywhere(class int) (block Block, ok bool, err error) {
	err = s.segments(func(g *segment) error {
		for i := 0; i < g.units && !ok; i++ {
			if w := layout.Word(g.entries[i].Word.Load()); w.State() == layout.Slab && w.A() == class {
				var err error
				if block, ok, err = s.takeFrom(g, i, class); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return block, ok, err
}

// takeFrom claims a block: FREE -> OWNED{me} by one CAS. Everyone starts somewhere else, to stay out of each other's way.
func (s *space) takeFrom(g *segment, i, class int) (Block, bool, error) {
	if w := layout.Word(g.entries[i].Word.Load()); w.State() != layout.Slab || w.A() != class {
		return Block{}, false, nil
	}
	b, err := s.slabAt(g, i)
	if err != nil {
		return Block{}, false, err
	}
	n := len(b.entries)
	start := rand.IntN(n)
	for j := range n {
		k := (start + j) % n
		e := &b.entries[k]
		w := layout.Word(e.Word.Load())
		if w.State() != layout.Free || !e.Word.CompareAndSwap(uint64(w), uint64(w.To(layout.Owned, s.self))) {
			continue
		}
		s.found[class].Store(uint64(layout.MakeRef(g.index, b.start)))
		mem := b.bytes(k)
		if w.Seq() != 0 && class < layout.ClassObject {
			clear(mem) // headers are initialised field by field: late readers look at them at any time
		}
		return Block{Ref: layout.MakeRef(g.index, b.at(k)), Bytes: mem, entry: e, seq: w.Seq()}, true, nil
	}
	return Block{}, false, nil
}

// newSlab claims a run, writes the header and turns it into a slab by one CAS; before that it is a block like any other
// and returns if we die.
func (s *space) newSlab(class int) error {
	const blocks = 8 // at least
	block := blockSize(class)
	g, i, err := s.allocRun(layout.SlabHead + blocks*(block+layout.SizeEntry) + 64)
	if err != nil {
		return err
	}
	units := g.zero(i)
	size := int64(units) << g.shift
	start := g.unit(i)
	count := (size - layout.SlabHead - 64) / (block + layout.SizeEntry)
	h := view[layout.SlabHeader](g.mem, start)
	h.Class, h.Count, h.Block, h.Units = uint32(class), uint32(count), uint32(block), uint32(units)
	h.First = uint32((layout.SlabHead + count*layout.SizeEntry + 63) &^ 63)
	e := &g.entries[i].Word
	w := layout.Word(e.Load())
	e.CompareAndSwap(uint64(w), uint64(layout.MakeWord(layout.Slab, Member(class), w.Seq())))
	return nil
}
