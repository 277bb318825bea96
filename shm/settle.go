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
	return s.settleDead()
}

func (s *space) settleDead() (n int, err error) {
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

// settle does what a member that is DEAD can no longer do itself: it takes it out of the sets of all objects, finishes what
// it was freeing, and gives back what it had not published. Every step is a CAS on a word that names the member or the
// state that was judged, so any number of processes may settle the same member at once, one that is stopped in the middle
// delays nobody, and one that is killed is simply not needed: what is being given back is given back by everyone who sees
// it, whoever began it. The slot becomes CLEAN last. Who leaves does all of this for itself while it is LIVE: killed in the
// middle it is a dead member like any other.
func (s *space) settle(m Member) error {
	w := s.slot(m.Slot())
	if w.Gen() != m.Gen() || w.State() != layout.SlotDead {
		return nil // done already
	}
	if err := s.settleAll(m, died); err != nil {
		return err
	}
	s.end(m, layout.SlotDead)
	return nil
}

func (s *space) settleAll(m Member, how departure) error {
	err := errors.Join(
		s.leaveObjects(m, how),
		s.linkDirectory(m),
		s.freeBlocks(m),
		s.freeNames(m),
		s.unlinkUnpublished(m),
	)
	if err != nil {
		return fmt.Errorf("shm: settle member %v of %v: %w", m, s, err)
	}
	return nil
}

// end makes the slot of m, which is settled and whose state is was, CLEAN.
func (s *space) end(m Member, was int) {
	clean := layout.MakeSlotWord(layout.SlotClean, m.Gen())
	if was == layout.SlotDead {
		clean |= 1 << layout.SlotDiedBit
	}
	if s.slots[m.Slot()].CompareAndSwap(uint64(layout.MakeSlotWord(was, m.Gen())), uint64(clean)) {
		s.root.Deaths.Add(1)
	}
	futex.Wake(&s.root.Deaths, 1<<30)
}

// leaveObjects takes m out of all sets, and frees the objects that are over.
func (s *space) leaveObjects(m Member, how departure) error {
	return s.objects(func(r Ref, e *layout.Entry, w layout.Word, header []byte) error {
		if w.State() == layout.Freeing {
			return s.finishFree(r, e, int64(len(header)), w) // whoever began it
		}
		sets := int(view[layout.Object](header, 0).Sets)
		if sets < 1 || layout.SizeObject+sets*layout.SizeSet > len(header) {
			if w.State() != layout.Shared || e.Word.Load() != uint64(w) {
				return nil // it is being made, or has become another object while we looked
			}
			return fmt.Errorf("object %v with %d sets: %w", r, sets, ErrCorrupt)
		}
		if w.State() != layout.Shared {
			for i := range sets {
				forgetLate(view[layout.Set](header, int64(layout.SizeObject+i*layout.SizeSet)), m, w.Seq())
			}
			return nil
		}
		same := func() bool { return e.Word.Load() == uint64(w) }
		over, changed := false, false
		for i := range sets {
			set := view[layout.Set](header, int64(layout.SizeObject+i*layout.SizeSet))
			forgetLate(set, m, w.Seq())
			was := layout.SetState(set.State.Load()).Phase()
			now := leaveSet(set, m, w.Seq(), how, same, s.bound(r, w.Seq(), i))
			over = over || now
			changed = changed || now && was == layout.SetOpen
		}
		if changed {
			s.rouseFor(r, header)
		}
		if over { // one of them; the others may just have been ended by somebody who is killed before he frees the object
			return s.freeIfOver(r, e, header)
		}
		return nil
	})
}

// freeBlocks gives back what m had claimed and not published, and finishes what it, or anybody, was giving back. (Objects
// are leaveObjects' business: their parts go first.)
func (s *space) freeBlocks(m Member) error {
	return s.blocks(func(f found, w layout.Word) error {
		switch w.State() {
		case layout.Claim, layout.Owned:
			if w.Member() == m {
				f.free(w)
			}
		case layout.Freeing:
			if !f.header {
				f.free(w)
			}
		}
		return nil
	})
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
