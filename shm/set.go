package shm

import (
	"fmt"

	"github.com/tandem-ipc/tandem/internal/layout"
)

// Hold sets: who holds an object, or one end of it. A set of words and not a count, because a dead member's word can be
// found and cleared. The state ends once and for ever: CLOSED if the last holder left, DIED if it died.
//
//	join:   word 0 -> me (CAS);  state OPEN{v} -> OPEN{v+1} (CAS);  is it still the same object? else word me -> 0
//	leave:  nobody else there? then state OPEN{v} -> CLOSED or DIED{me} (CAS), and clear the word;
//	        somebody there? then state OPEN{v} -> OPEN{v+1, how I go} (CAS), clear the word, and look again: they may have
//	        left meanwhile
//
// An open set without words is a leaver that was killed between its steps; whoever sees it ends it, as the state says that
// the last one went. It cannot be a set that is being joined, because joining adds the word first, nor a new one, because
// an object is published with its first holder. The version makes a CAS fail that was prepared before somebody joined; and
// between reading the state and that CAS everyone asks whether the place still holds the same object, for its next life
// has other holders and goes on with the version. In a kept Space a LIVE name is a holder, too, whose word is the entry of
// the directory: bind bumps the version behind it as who joins, unbind frees it and then ends the set as for one who was
// killed half-way. Words are taken only when they are 0: those of another sequence number
// may be the holders of the next object, and we the late ones.

// joinSet adds m to a set of the object in incarnation seq. The caller checks afterwards that it still is that object.
func joinSet(set *layout.Set, m Member, seq uint32) error {
	mine := layout.HoldWord(m, seq)
	k, err := placeIn(set, mine)
	if err != nil {
		return err
	}
	if !bump(set) {
		set.Word[k].CompareAndSwap(mine, 0)
		return ErrGone
	}
	return nil
}

// bump makes who is about to end the set look again. False: it is over.
func bump(set *layout.Set) bool {
	for {
		st := layout.SetState(set.State.Load())
		if st.Phase() != layout.SetOpen {
			return false
		}
		// We may be late, and this another object's set: how the last one went stays as it is.
		if set.State.CompareAndSwap(uint64(st), uint64(layout.MakeSetState(layout.SetOpen, st.Member(), st.Version()+1))) {
			return true
		}
	}
}

func placeIn(set *layout.Set, mine uint64) (int, error) {
	for k := range set.Word {
		if set.Word[k].Load() == 0 && set.Word[k].CompareAndSwap(0, mine) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%d processes hold it, the most there can be: %w", layout.Holds, ErrTooMany)
}

// How a member goes.
type departure int

const (
	left     departure = iota
	died               // and so the set, if it was the last
	passedOn           // as if it had not been there: if it is the last, the one before says how the set ends
)

// leaveSet takes m out of a set, and ends the set if nobody is left; how says how m goes. It tells whether the set is over.
// Many may do it at once for a dead member, who may never have been in it. same tells whether the place still holds the
// object of incarnation seq, bound whether a name holds the set.
func leaveSet(set *layout.Set, m Member, seq uint32, how departure, same, bound func() bool) (over bool) {
	mine := layout.HoldWord(m, seq)
	last := func(st layout.SetState) Member { // who died, of those who went last
		switch how {
		case died:
			return m
		case passedOn:
			return st.Member()
		}
		return 0
	}
	// Before we look at the others: who is not in it was taken out by somebody, and those that we see then look after that.
	held, _ := look(set, mine, seq)
	for {
		st := layout.SetState(set.State.Load())
		if st.Phase() != layout.SetOpen {
			clearWord(set, mine)
			return true
		}
		in, others := look(set, mine, seq)
		others = others || bound()
		switch {
		case others && !held:
			return false // the end is theirs
		case others && !in:
			held = false // another one has just done it for m
		case !same():
			return true // only an object whose sets are over goes
		case others:
			open := layout.MakeSetState(layout.SetOpen, last(st), st.Version()+1)
			if set.State.CompareAndSwap(uint64(st), uint64(open)) {
				clearWord(set, mine)
				held = false // and look again
			}
		default:
			who := st.Member()
			if in {
				who = last(st)
			}
			phase := layout.SetClosed
			if who != 0 {
				phase = layout.SetDied
			}
			if set.State.CompareAndSwap(uint64(st), uint64(layout.MakeSetState(phase, who, st.Version()+1))) {
				clearWord(set, mine)
				return true
			}
		}
	}
}

// look tells whether mine is in the set, and whether another holder of the object is.
func look(set *layout.Set, mine uint64, seq uint32) (in, others bool) {
	for k := range set.Word {
		switch w := set.Word[k].Load(); {
		case w == 0:
		case w == mine:
			in = true
		case layout.HoldSeq(w) == seq:
			others = true
		}
	}
	return in, others
}

func clearWord(set *layout.Set, mine uint64) {
	for k := range set.Word {
		set.Word[k].CompareAndSwap(mine, 0)
	}
}

// forgetLate clears what m left in a set of an object that it came too late for, and was killed before it could undo it.
func forgetLate(set *layout.Set, m Member, seq uint32) {
	for k := range set.Word {
		if w := set.Word[k].Load(); layout.HoldMember(w) == m && layout.HoldSeq(w) != seq {
			set.Word[k].CompareAndSwap(w, 0)
		}
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
