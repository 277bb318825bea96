package shm

import (
	"errors"
	"fmt"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Parts: blocks that belong to a place inside an object's header, a lane of a connection say, and go with the object.
// Whoever makes one first writes its Ref where the header names it, then hands it over: in between it is still its own
// and returns with it. Whoever gives one back does so before the header stops naming it. So every part is named; but a
// name may lead to no part (ErrNoPart), or to one of another place.

// NewPart allocates a block, still this process's own.
func (o *Object) NewPart(size int64) (Block, error) { return o.s.alloc(size) }

// HandOver makes the block a part of the place off in the header.
func (o *Object) HandOver(b Block, off int64) { o.s.handOver(b, o.at(off)) }

// Discard gives back a block that was not handed over.
func (o *Object) Discard(b Block) { o.s.discard(b) }

// Part finds a part by its Ref, which may come from anywhere. ErrNoPart: there is none of this place there.
func (o *Object) Part(r Ref, off int64) ([]byte, error) {
	f, _, err := o.part(r, off)
	return f.bytes, err
}

// FreePart gives a part back. Only then the header stops naming it.
func (o *Object) FreePart(r Ref, off int64) error {
	f, w, err := o.part(r, off)
	if err == nil {
		o.s.freePart(f, w)
	}
	return err
}

func (o *Object) part(r Ref, off int64) (found, layout.Word, error) {
	f, err := o.s.find(r)
	if errors.Is(err, errNoBlock) {
		return found{}, 0, fmt.Errorf("%w: %w", ErrNoPart, err)
	}
	if err != nil {
		return found{}, 0, err
	}
	w := layout.Word(f.entry.Word.Load())
	if w.State() != layout.Part || Ref(f.entry.Aux.Load()) != o.at(off) {
		return found{}, 0, fmt.Errorf("block %v is no part of %v: %w", r, o.at(off), ErrNoPart)
	}
	return f, w, nil
}

func (o *Object) at(off int64) Ref { return layout.MakeRef(o.ref.Segment(), o.ref.Offset()+off) }

// Limit is the most memory that the object's Space may use, in bytes.
func (o *Object) Limit() int64 { return o.s.limit }

// Holders lists who is in a set now.
func (o *Object) Holders(set int) []Member {
	var all []Member
	s := o.Set(set)
	for k := range s.Word {
		w := s.Word[k].Load()
		if m := layout.HoldMember(w); layout.HoldSeq(w) == o.seq && m.Valid() { // a damaged word may name anybody
			all = append(all, m)
		}
	}
	return all
}

// SetState is the state of a set.
func (o *Object) SetState(set int) layout.SetState { return layout.SetState(o.Set(set).State.Load()) }

// Dead tells whether m is dead or has left, by proof.
func (o *Object) Dead(m Member) bool { return o.s.Dead(m) }

// Who describes a member that died.
func (o *Object) Who(m Member) *MemberDied { return o.s.who(m) }

// Recheck asks for ourselves whether the holders of a set are alive, and settles those that are not: what somebody else
// would have told us, had he not been killed or stopped. It does not wait for that: the poller's goroutines settle, if there
// is a poller. It ends a set that its last holder left half-way.
func (o *Object) Recheck(set int) error {
	for _, m := range o.Holders(set) {
		if !o.s.Dead(m) {
			continue
		}
		if !o.s.poll.off {
			o.s.poll.bury(m)
		} else if err := o.s.settle(m); err != nil {
			return err
		}
	}
	if o.SetState(set).Phase() == layout.SetOpen && len(o.Holders(set)) == 0 {
		if leaveSet(o.Set(set), 0, o.seq, left, o.same, o.s.bound(o.ref, o.seq, set)) {
			return o.s.rouse(o.ref, o.entry, o.seq, o.Header)
		}
	}
	return nil
}

// Watch makes this process watch the holders of a set until stop is called: for who waits long for one of them.
func (o *Object) Watch(set int) (stop func()) {
	all := o.Holders(set)
	for _, m := range all {
		o.s.poll.want(m)
	}
	return func() {
		for _, m := range all {
			o.s.poll.enough(m)
		}
	}
}
