package shm

import (
	"fmt"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Hold sets: who holds an object, or one end of it. A set of words and not a count, because a dead member's word can be
// found and cleared. The state ends once and for ever: CLOSED if the last holder left, DIED if it died.
//
//	join:   word FREE -> me (CAS);  state OPEN{v} -> OPEN{v+1} (CAS);  is it still the same object?
//	leave:  nobody else there? then state OPEN{v} -> CLOSED or DIED{v+1} (CAS) and clear the word;
//	        somebody there? then clear the word, and look again: they may have left meanwhile
//
// An open set without words is a leaver that was killed between its two steps; whoever sees it ends it. It cannot be a
// set that is being joined, because joining adds the word first, nor a new one, because an object is published with its
// first holder. The version makes a CAS fail that was prepared before somebody joined.

// joinSet adds m to a set of the object in incarnation seq. The caller checks afterwards that it still is that object.
func joinSet(set *layout.Set, m Member, seq uint32) error {
	mine := layout.HoldWord(m, seq)
	k, err := placeIn(set, mine, seq)
	if err != nil {
		return err
	}
	for {
		st := layout.SetState(set.State.Load())
		if st.Phase() != layout.SetOpen {
			set.Word[k].CompareAndSwap(mine, 0)
			return ErrGone
		}
		if set.State.CompareAndSwap(uint64(st), uint64(layout.MakeSetState(layout.SetOpen, 0, st.Version()+1))) {
			return nil
		}
	}
}

func placeIn(set *layout.Set, mine uint64, seq uint32) (int, error) {
	for k := range set.Word {
		for {
			w := set.Word[k].Load()
			if w != 0 && layout.HoldSeq(w) == seq {
				break // taken
			}
			// Free, or left over from an earlier object at this place.
			if set.Word[k].CompareAndSwap(w, mine) {
				return k, nil
			}
		}
	}
	return 0, fmt.Errorf("%d processes hold it, the most there can be: %w", layout.Holds, ErrTooMany)
}

// leaveSet takes m out of a set, and ends the set if m was the last; died says how. It tells whether the set is over.
// Many may do it at once for a dead member.
func leaveSet(set *layout.Set, m Member, seq uint32, died bool) (over bool) {
	mine := layout.HoldWord(m, seq)
	end := func(st layout.SetState) bool {
		phase, who := layout.SetClosed, Member(0)
		if died {
			phase, who = layout.SetDied, m
		}
		return set.State.CompareAndSwap(uint64(st), uint64(layout.MakeSetState(phase, who, st.Version()+1)))
	}
	held := false
	for k := range set.Word {
		held = held || set.Word[k].Load() == mine
	}
	for {
		st := layout.SetState(set.State.Load())
		if st.Phase() != layout.SetOpen {
			clearWord(set, mine)
			return true
		}
		others := heldBy(set, mine, seq)
		switch {
		case others && !held:
			return false
		case others:
			clearWord(set, mine)
			held = false // and look again
		case end(st):
			clearWord(set, mine)
			return true
		}
	}
}

// heldBy tells whether anybody but mine is in the set.
func heldBy(set *layout.Set, mine uint64, seq uint32) bool {
	for k := range set.Word {
		if w := set.Word[k].Load(); w != 0 && w != mine && layout.HoldSeq(w) == seq {
			return true
		}
	}
	return false
}

func clearWord(set *layout.Set, mine uint64) {
	for k := range set.Word {
		set.Word[k].CompareAndSwap(mine, 0)
	}
}

// resetSet makes the set of a new object: open, with one holder. Words of earlier objects are void; the version goes on.
func resetSet(set *layout.Set, m Member, seq uint32) {
	for k := range set.Word {
		clear64(&set.Word[k])
	}
	set.Word[0].Store(layout.HoldWord(m, seq))
	st := layout.SetState(set.State.Load())
	set.State.Store(uint64(layout.MakeSetState(layout.SetOpen, 0, st.Version()+1)))
}
