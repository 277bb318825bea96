package shm

import (
	"errors"
	"fmt"
	"os"

	"github.com/tandem-ipc/tandem/futex"
	"github.com/tandem-ipc/tandem/internal/layout"
)

// Settle asks the kernel of every member whether it is dead, settles those that are, and returns how many. Each process
// does so by event for its neighbours; this is for who wants to be sure now. It costs about half a microsecond a member.
func (sp *Space) Settle() (int, error) {
	s, err := sp.enter()
	if err != nil {
		return 0, err
	}
	defer s.release()
	n := 0
	for slot := 1; slot <= layout.Slots; slot++ {
		w := s.slot(slot)
		m := layout.MakeMember(slot, w.Gen())
		if w.State() == layout.SlotClean || m == s.self || !s.Dead(m) {
			continue
		}
		if err := s.settle(m); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// settle does what a member that is DEAD or has LEFT can no longer do itself: it takes it out of the sets of all objects,
// finishes what it was freeing, and gives back what it had not published. Every step is a CAS on a word that names the
// member or the state that was judged, so any number of processes may settle the same member at once, one that is
// stopped in the middle delays nobody, and one that is killed is simply not needed. The slot becomes CLEAN last.
func (s *space) settle(m Member) error {
	w := s.slot(m.Slot())
	if w.Gen() != m.Gen() || w.State() != layout.SlotDead && w.State() != layout.SlotLeft {
		return nil // done already
	}
	died := w.State() == layout.SlotDead
	err := errors.Join(
		s.leaveObjects(m, died),
		s.linkDirectory(m),
		s.freeBlocks(m),
		s.freeNames(m),
		s.unlinkUnpublished(m),
	)
	if err != nil {
		return fmt.Errorf("shm: settle member %v of %v: %w", m, s, err)
	}
	clean := layout.MakeSlotWord(layout.SlotClean, m.Gen())
	if died {
		clean |= 1 << layout.SlotDiedBit
	}
	if s.slots[m.Slot()].CompareAndSwap(uint64(w), uint64(clean)) {
		s.root.Deaths.Add(1)
	}
	futex.Wake(&s.root.Deaths, 1<<30)
	return nil
}

// leaveObjects takes m out of all sets, and frees the objects that are over.
func (s *space) leaveObjects(m Member, died bool) error {
	return s.objects(func(r Ref, e *layout.Entry, w layout.Word, header []byte) error {
		if w.State() == layout.Freeing {
			if w.Member() == m {
				return s.finishFree(r, e, int64(len(header)), w)
			}
			return nil
		}
		sets := int(view[layout.Object](header, 0).Sets)
		if sets < 1 || layout.SizeObject+sets*layout.SizeSet > len(header) {
			if e.Word.Load() != uint64(w) {
				return nil // it has become another object while we looked
			}
			return fmt.Errorf("object %v with %d sets: %w", r, sets, ErrCorrupt)
		}
		over, changed := true, false
		for i := range sets {
			set := view[layout.Set](header, int64(layout.SizeObject+i*layout.SizeSet))
			was := layout.SetState(set.State.Load()).Phase()
			now := leaveSet(set, m, w.Seq(), died)
			over = over && now
			changed = changed || now && was == layout.SetOpen
		}
		if changed {
			s.rouse(header, nil)
		}
		if over {
			return s.freeIfOver(r, e, header, m)
		}
		return nil
	})
}

// freeBlocks gives back what m had claimed and not published, finishes what it was giving back, and collects parts that
// their lane does not know: a producer hands a block over only after the lane names it.
func (s *space) freeBlocks(m Member) error {
	return s.blocks(func(f found, w layout.Word) error {
		switch w.State() {
		case layout.Claim, layout.Owned, layout.Freeing:
			if w.Member() == m {
				f.free(w)
			}
		case layout.Part:
			if s.strayPart(f) {
				s.freePart(f, w, m)
			}
		}
		return nil
	})
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

// unlinkUnpublished removes growth segments that m had named and not published; the table of segments is final where m is
// dead. Nobody else maps them.
func (s *space) unlinkUnpublished(m Member) error {
	for i := 1; i < layout.Segments; i++ {
		w := s.table[i].Load()
		if grower(w) == m {
			continue
		}
		if err := ignoreMissing(os.Remove(inDir(s.dir, growthFile(s.nonce, i, m)))); err != nil {
			return err
		}
		if w == 0 {
			break
		}
	}
	return nil
}
