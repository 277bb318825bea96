package shm

import (
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Check looks whether the Space is as it should be when nobody is in the middle of anything and all dead are settled:
// every unit belongs to a block or is free, every part to an object that exists, every object to somebody. While others
// are at work it may report what is only passing. The error joins all findings; each matches ErrCorrupt.
func (sp *Space) Check() error {
	s, err := sp.enter()
	if err != nil {
		return err
	}
	defer s.release()
	var bad []error
	report := func(format string, args ...any) {
		bad = append(bad, fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrCorrupt))
	}
	err = s.segments(func(g *segment) error {
		for i := 0; i < g.units; {
			w := layout.Word(g.entries[i].Word.Load())
			n := 1
			switch w.State() {
			case layout.Free, layout.Holed:
			case layout.Cont:
				report("segment %d unit %d follows nothing: %v", g.index, i, w)
			case layout.Slab:
				n = g.length(i)
				if b, err := s.slabAt(g, i); err != nil {
					bad = append(bad, err)
				} else if n != b.units {
					report("slab at unit %d of segment %d has %d units, its run %d", i, g.index, b.units, n)
				}
			default:
				n = g.length(i)
			}
			i += n
		}
		return nil
	})
	err = errors.Join(err, s.blocks(func(f found, w layout.Word) error {
		at := s.refOf(f)
		switch w.State() {
		case layout.Claim, layout.Freeing:
			report("block %v is in passing: %v", at, w)
		case layout.Owned:
			if m := w.Member(); !m.Valid() || s.slot(m.Slot()) != layout.MakeSlotWord(layout.SlotLive, m.Gen()) {
				report("block %v belongs to %v, who is not here", at, m)
			}
		case layout.Part:
			if owner := Ref(f.entry.Aux.Load()); owner != 0 {
				if _, _, ok := s.headerAt(owner); !ok || s.strayPart(f) {
					report("block %v is a part of %v, which does not know it", at, owner)
				}
			}
		}
		return nil
	}))
	err = errors.Join(err, s.objects(func(r Ref, _ *layout.Entry, w layout.Word, header []byte) error {
		if w.State() != layout.Shared {
			return nil // looked at as a block
		}
		open := false
		sets, most := int(view[layout.Object](header, 0).Sets), (len(header)-layout.SizeObject)/layout.SizeSet
		if sets > most {
			report("object %v with %d sets, there is room for %d", r, sets, most)
		}
		for i := range min(sets, most) {
			set := view[layout.Set](header, int64(layout.SizeObject+i*layout.SizeSet))
			_, held := look(set, 0, w.Seq())
			held = held || s.bound(r, w.Seq(), i)()
			isOpen := layout.SetState(set.State.Load()).Phase() == layout.SetOpen
			open = open || isOpen
			if isOpen != held {
				report("set %d of object %v is open: %v, held: %v", i, r, isOpen, held)
			}
		}
		if !open {
			report("object %v is nobody's", r)
		}
		return nil
	}))
	return errors.Join(append(bad, err)...)
}

// strayPart tells whether f is the part of a lane that does not name it.
func (s *space) strayPart(f found) bool {
	at := Ref(f.entry.Aux.Load())
	header, off, ok := s.headerAt(at)
	if !ok || off == 0 {
		return false // the data of an object goes with the object
	}
	if view[layout.Object](header, 0).Kind != layout.KindConn || len(header) < layout.SizeConn {
		return false
	}
	c := view[layout.Conn](header, 0)
	for i := range c.Lane {
		if off != laneOffset(i) {
			continue
		}
		mine := s.refOf(f)
		for k := range c.Lane[i].Big {
			if Ref(c.Lane[i].Big[k].Load()) == mine {
				return false
			}
		}
		return true
	}
	return false
}

func laneOffset(i int) int64 { return layout.SizeObject + 2*layout.SizeSet + int64(i)*layout.SizeLane }

// refOf is the Ref of a found block.
func (s *space) refOf(f found) Ref {
	base := &f.g.mem[0]
	return layout.MakeRef(f.g.index, offsetIn(base, f.bytes))
}

// headerAt finds the object header that a ref points into, and how far.
func (s *space) headerAt(at Ref) (header []byte, off int64, ok bool) {
	g, err := s.segment(at.Segment())
	if err != nil || g == nil {
		return nil, 0, false
	}
	i, ok := g.unitOf(at.Offset())
	if !ok {
		return nil, 0, false
	}
	if w := layout.Word(g.entries[i].Word.Load()); w.State() == layout.Cont {
		if i -= w.A(); i < 0 {
			return nil, 0, false
		}
	}
	if w := layout.Word(g.entries[i].Word.Load()); w.State() != layout.Slab || w.A() < layout.ClassObject {
		return nil, 0, false
	}
	b, err := s.slabAt(g, i)
	if err != nil || at.Offset() < b.at(0) {
		return nil, 0, false
	}
	k := int((at.Offset() - b.at(0)) / int64(b.block))
	if k >= len(b.entries) || layout.Word(b.entries[k].Word.Load()).State() != layout.Shared {
		return nil, 0, false
	}
	return b.bytes(k), at.Offset() - b.at(k), true
}
